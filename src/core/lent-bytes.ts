import { CardeaError } from "./errors.ts";

/** Bytes for one slab, which takes what comes one behind the other. */
const SLAB_BYTES = 65_536;
/** A piece that waits for a slow peer holds its slab as a whole: eight times its size at the worst. */
const SLAB_PIECE_BYTES_MIN = 8_192;
/** 4 MiB: what a turn of bulk needs. More than that is left to the collector. */
const SPARE_SLABS_MAX = 64;

interface Slab {
  readonly bytes: Buffer;
  /** Where the next piece goes. */
  at: number;
  /** What somebody still has, as starts and ends in turn; touching ranges are one. */
  readonly held: number[];
}

const slabs = new WeakMap<ArrayBufferLike, Slab>();
const spare: Slab[] = [];
let current = newSlab();

/**
 * A copy of bytes that are lent. It is in memory that is used again once every byte of it has been given back, by
 * `giveBack`; of what never is, the collector takes care. So whoever gives back must be the only one who had them.
 */
export function keepLent(piece: Buffer): Buffer {
  const { length } = piece;
  if (length < SLAB_PIECE_BYTES_MIN || length > SLAB_BYTES) return Buffer.from(piece);
  if (current.at + length > SLAB_BYTES) current = spare.pop() ?? newSlab();
  const start = current.at;
  piece.copy(current.bytes, start);
  current.at += length;
  hold(current.held, start, current.at);
  return current.bytes.subarray(start, current.at);
}

/** Whether `giveBack` means something for it. */
export function isKept(piece: Buffer): boolean {
  return piece.buffer.byteLength === SLAB_BYTES && slabs.has(piece.buffer);
}

/**
 * Nobody needs these bytes, all or a part of what `keepLent` gave, any more. Nothing happens for other bytes. Memory is
 * used again only when each byte of it was given back once, so that no fault of ours can show one caller another's bytes.
 * Errors: `internal` for bytes that nobody has.
 */
export function giveBack(piece: Buffer): void {
  const slab = piece.buffer.byteLength === SLAB_BYTES ? slabs.get(piece.buffer) : undefined;
  if (slab === undefined) return;
  release(slab.held, piece.byteOffset, piece.byteOffset + piece.length);
  if (slab.held.length > 0) return;
  slab.at = 0;
  if (slab !== current && spare.length < SPARE_SLABS_MAX) spare.push(slab);
}

function newSlab(): Slab {
  const bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
  const slab = { bytes, at: 0, held: [] };
  slabs.set(bytes.buffer, slab);
  return slab;
}

/** `start` is where the last range that was held ends, or behind it. */
function hold(held: number[], start: number, end: number): void {
  if (held.at(-1) === start) held[held.length - 1] = end;
  else held.push(start, end);
}

function release(held: number[], start: number, end: number): void {
  for (let i = 0; i < held.length; i += 2) {
    const [from, to] = [held[i]!, held[i + 1]!];
    if (start < from || end > to) continue;
    const rest = [...(from < start ? [from, start] : []), ...(end < to ? [end, to] : [])];
    held.splice(i, 2, ...rest);
    return;
  }
  throw new CardeaError("internal", "bytes were given back that nobody had");
}
