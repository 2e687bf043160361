import { giveBack, isKept } from "../core/lent-bytes.ts";

/** Above this, copying costs more than an entry of its own in a gathered write. */
const SMALL_BYTES_MAX = 8_192;

/**
 * The buffers of one write, as few as they can be: those that lie one behind the other in memory become one, and so do,
 * by copying, neighbours that are small. The large ones pass through uncopied.
 */
export function gather(buffers: readonly Buffer[]): readonly Buffer[] {
  const parts: Buffer[] = [];
  let run: Buffer[] = [];
  for (const buffer of buffers) {
    if (buffer.length <= SMALL_BYTES_MAX) {
      run.push(buffer);
      continue;
    }
    if (run.length > 0) parts.push(joined(run));
    run = [];
    const last = parts.at(-1);
    if (last !== undefined && areNeighbours(last, buffer)) parts[parts.length - 1] = spanning(last, buffer);
    else parts.push(buffer);
  }
  if (run.length > 0) parts.push(joined(run));
  return parts;
}

/** To be called when a write has ended: what of it is memory that is used again goes back. */
export function returnOnceWritten(buffers: readonly Buffer[]): ((error?: Error | null) => void) | undefined {
  if (!buffers.some(isKept)) return undefined;
  return (error) => {
    // What broke off may still be read by the system.
    if (error !== undefined && error !== null) return;
    for (const buffer of buffers) giveBack(buffer);
  };
}

function joined(run: readonly Buffer[]): Buffer {
  return run.length === 1 ? run[0]! : Buffer.concat(run);
}

function areNeighbours(first: Buffer, second: Buffer): boolean {
  return first.buffer === second.buffer && first.byteOffset + first.length === second.byteOffset;
}

function spanning(first: Buffer, second: Buffer): Buffer {
  return Buffer.from(first.buffer, first.byteOffset, first.length + second.length);
}
