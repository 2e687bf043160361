import type net from "node:net";
import { CardeaError } from "../core/errors.ts";
import { DATA_BYTES_MAX } from "../wire/http2-codes.ts";

/** Nearly as much as libuv asks for at once: what fills it makes whole DATA frames, and these whole TLS records. */
const READ_BYTES = 4 * DATA_BYTES_MAX;

/**
 * What all sockets of this kind are read into, one after the other: a read and the call that takes its bytes are one
 * step of the event loop. Of itself the runtime makes 64 KiB for every read and a smaller copy of what came, and passes
 * that through a Readable.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(READ_BYTES);
let isLent = false;

/**
 * Reads a socket past its Readable. For a socket that we dial ourselves the runtime has an option, `onread`, which is
 * public. What that option sets can be set on any socket, but only by names that are the runtime's own: `ofSocket` looks
 * for each of them and does without where one is missing (docs/adr/0021-reads-into-one-buffer.md).
 */
export class SocketReader {
  #inner: InnerSocket | null = null;
  #take: ((lent: Buffer) => void) | null = null;
  /** Came before anybody took the connection over; no more is read until then. */
  #early: Buffer | null = null;

  /** For the options of a socket that is yet to be dialled. */
  get onread(): net.OnReadOpts {
    return { buffer: READ_BUFFER, callback: this.#onRead };
  }

  /** Null: this runtime is another one, and the socket is read as it always is. */
  static ofSocket(socket: net.Socket): SocketReader | null {
    const inner = innerOf(socket);
    if (inner === null) return null;
    const reader = new SocketReader();
    reader.#inner = inner;
    reader.#early = readAll(socket);
    inner.fields[inner.callback] = reader.#onRead;
    inner.fields[inner.generator] = null;
    inner.fields[inner.buffer] = READ_BUFFER;
    inner.useUserBuffer(READ_BUFFER);
    return reader;
  }

  /** What `take` is given is good until it returns. */
  deliverTo(take: (lent: Buffer) => void): void {
    this.#take = take;
  }

  takeEarly(): Buffer | null {
    const early = this.#early;
    this.#early = null;
    return early;
  }

  /** Lets the runtime read the socket as always. False: it was made with `onread`, which is for good. */
  release(): boolean {
    const inner = this.#inner;
    if (inner === null) return false;
    inner.fields[inner.buffer] = null;
    inner.fields[inner.callback] = null;
    return true;
  }

  /** False: read no further. */
  readonly #onRead = (bytes: number): boolean => {
    // The runtime reads from its event loop alone. Were that ever otherwise, bytes would go to the wrong connection.
    if (isLent) throw new CardeaError("internal", "a socket was read while the bytes of another were looked at");
    const lent = READ_BUFFER.subarray(0, bytes);
    if (this.#take === null) {
      this.#early = Buffer.from(lent);
      return false;
    }
    isLent = true;
    this.#take(lent);
    isLent = false;
    return true;
  };
}

/** What lies in the Readable. A socket that flows gives one piece of it at a time, and would drop the others. */
function readAll(socket: net.Socket): Buffer | null {
  const pieces: Buffer[] = [];
  for (let piece = socket.read() as Buffer | null; piece !== null; piece = socket.read() as Buffer | null) {
    pieces.push(piece);
  }
  return pieces.length === 0 ? null : Buffer.concat(pieces);
}

/** What `onread` sets, found on a socket that was made without it. */
interface InnerSocket {
  readonly fields: Record<symbol, unknown>;
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
  useUserBuffer(buffer: Buffer): void;
}

function innerOf(socket: net.Socket): InnerSocket | null {
  const { _handle: handle } = socket as { _handle?: { useUserBuffer?: (buffer: Buffer) => void } | null };
  if (typeof handle?.useUserBuffer !== "function") return null;
  const symbols = Object.getOwnPropertySymbols(socket);
  const named = (name: string) => symbols.find(({ description }) => description === name);
  const [buffer, callback, generator] = [named("kBuffer"), named("kBufferCb"), named("kBufferGen")];
  if (buffer === undefined || callback === undefined || generator === undefined) return null;
  const fields = socket as unknown as Record<symbol, unknown>;
  return { fields, buffer, callback, generator, useUserBuffer: (into) => handle.useUserBuffer!(into) };
}
