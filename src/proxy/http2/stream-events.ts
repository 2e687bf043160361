import type { CardeaError } from "../../core/errors.ts";
import type { HeaderBlock } from "../../wire/hpack-decoder.ts";
import type { ErrorName } from "../../wire/http2-codes.ts";

/** What happens on a stream. After `onReset`, `onFault` and `onLost` nothing more comes from the peer. */
export interface StreamEvents {
  /** A header block behind the one that opened the stream. */
  onBlock(block: HeaderBlock, isEnd: boolean): void;
  /** The callee owns the bytes, unless `takesLent`, which is as `ConnectionHandlers` has it. */
  onData(piece: Buffer): void;
  readonly takesLent?: boolean;
  /** The peer has ended by DATA. */
  onEnd(): void;
  /** Few enough bytes are queued again after `sendData` returned false. */
  onDrain(): void;
  /** By the peer, with its code. */
  onReset(code: number): void;
  /** The peer broke a rule. The stream is to be answered, or reset with `code`. */
  onFault(code: ErrorName, why: string): void;
  /** The connection is gone. `isUnprocessed`: the peer has promised that it did not look at the stream. */
  onLost(error: CardeaError, isUnprocessed: boolean): void;
  /** Both sides have ended, and all has been sent and delivered. */
  onClosed(): void;
  /** For so long nothing has moved; `isStarved`: something waits to be sent, and nothing of it was. */
  onStill(stillMs: number, isStarved: boolean): void;
}
