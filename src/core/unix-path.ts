/** sun_path with its final NUL: 108 octets on Linux, 104 elsewhere. unix(7). */
export const UNIX_PATH_BYTES_MAX = 103;

/** Whether a UNIX socket can be there; the kernel would cut a longer path, or refuse it. */
export function fitsUnixSocket(path: string): boolean {
  return Buffer.byteLength(path) <= UNIX_PATH_BYTES_MAX;
}
