import type { Readable, Writable } from "node:stream";
import { OwnBytes } from "./own-bytes.ts";
import type { Body } from "./plan.ts";

/** Calls back after so many turns of the event loop; at once after none. */
export function afterTurns(turns: number, then: () => void): void {
  if (turns === 0) then();
  else setImmediate(afterTurns, turns - 1, then);
}

interface Writing {
  /** Which bytes. */
  readonly name: string;
  readonly body: Pick<Body, "bytes" | "pieces">;
  /** Where to stop for good, or null. */
  readonly stopAfter: number | null;
  /** At the end of the body, or where it stops. */
  readonly onDone: () => void;
}

/** Writes a body in its pieces, each once the one before it was taken. Ends nothing. */
export function writeBody(into: Writable, { name, body, stopAfter, onDone }: Writing): void {
  const bytes = new OwnBytes(name);
  const end = stopAfter ?? body.bytes;
  let piece = 0;
  const next = (): void => {
    if (into.destroyed) return;
    while (bytes.count < end) {
      const size = Math.min(body.pieces[piece++ % body.pieces.length]!, end - bytes.count);
      if (!into.write(bytes.take(size))) {
        into.once("drain", next);
        return;
      }
    }
    onDone();
  };
  next();
}

/** Reads a stream as slowly as is said: so many turns of rest after each piece. */
export function readSlowly(from: Readable, turns: number, onPiece: (piece: Buffer) => void): void {
  from.on("data", (piece: Buffer) => {
    onPiece(piece);
    if (turns === 0) return;
    from.pause();
    afterTurns(turns, () => from.resume());
  });
}
