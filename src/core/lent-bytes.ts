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
  /** Of those before `at`, how many nobody needs any more. */
  returned: number;
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
  return current.bytes.subarray(start, current.at);
}

/** Whether `giveBack` means something for it. */
export function isKept(piece: Buffer): boolean {
  return piece.buffer.byteLength === SLAB_BYTES && slabs.has(piece.buffer);
}

/** Nobody needs these bytes, all or a part of what `keepLent` gave, any more. Nothing happens for other bytes. */
export function giveBack(piece: Buffer): void {
  const slab = piece.buffer.byteLength === SLAB_BYTES ? slabs.get(piece.buffer) : undefined;
  if (slab === undefined) return;
  slab.returned += piece.length;
  if (slab.returned < slab.at) return;
  slab.at = 0;
  slab.returned = 0;
  if (slab !== current && spare.length < SPARE_SLABS_MAX) spare.push(slab);
}

function newSlab(): Slab {
  const bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
  const slab = { bytes, at: 0, returned: 0 };
  slabs.set(bytes.buffer, slab);
  return slab;
}
