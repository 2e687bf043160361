import { LIMITS } from "../core/limits.ts";

/** How many paths are remembered; two that share a place drive each other out. */
const PLACES = 64;

/**
 * Which paths had a long body the last time, so that the next request there begins on a connection that small ones do
 * not use. A guess by hash: a wrong one costs nothing but that the request goes by another connection.
 */
export class LongPaths {
  #hashes: Int32Array | null = null;

  /** A request has moved so many octets of bodies. */
  note(path: string, bytes: number): void {
    if (bytes < LIMITS.http2LongBodyBytesMin) return;
    this.#hashes ??= new Int32Array(PLACES);
    const hash = hashOf(path);
    this.#hashes[hash & (PLACES - 1)] = hash;
  }

  has(path: string): boolean {
    if (this.#hashes === null) return false;
    const hash = hashOf(path);
    return this.#hashes[hash & (PLACES - 1)] === hash;
  }
}

/** Never 0, which is an empty place. */
function hashOf(path: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x0100_0193);
  return hash | (1 << 30);
}
