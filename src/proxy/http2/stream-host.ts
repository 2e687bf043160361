import type { ErrorName } from "../../wire/http2-codes.ts";
import type { Ending } from "./closed-streams.ts";
import type { ConnectionCredit } from "./connection-credit.ts";
import type { DataSender } from "./data-sender.ts";
import type { Output } from "./output.ts";
import type { Http2Stream } from "./stream.ts";

/** The connection, as its streams see it. */
export interface StreamHost {
  readonly sender: DataSender;
  readonly credit: ConnectionCredit;
  readonly output: Output;
  sendReset(streamId: number, code: ErrorName): void;
  /** What was held is not held any more: the connection's window may be owed for it. */
  onReleased(): void;
  /** It carries a long body, or will: see LIMITS.http2LongBodyBytesMin. Once for each stream. */
  onLong(): void;
  onStreamClosed(stream: Http2Stream, ending: Ending): void;
}
