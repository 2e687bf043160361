import { CardeaError, type ErrorCode } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Connection } from "../../core/ports.ts";
import type { HeaderBlock } from "../../wire/hpack-decoder.ts";
import type { Headers } from "../../wire/headers.ts";
import { readRequestHead } from "../../wire/http2-request-head.ts";
import { isGrpcType } from "../grpc.ts";
import { joinedHeader } from "../headers.ts";
import type { ServerOptions } from "../http1/server-connection.ts";
import { type LiveConnection, type Moment, Stillness } from "../live.ts";
import type { Detached, RequestHandler } from "../streams.ts";
import { Http2ServerStream } from "./server-stream.ts";
import { Http2Session } from "./session.ts";
import type { Opening, SessionOwner } from "./session-owner.ts";
import type { Http2Stream } from "./stream.ts";
import { Http2StreamConnection } from "./stream-connection.ts";

export interface Http2ServerOptions extends ServerOptions {
  /** The caller broke a rule of the connection's, and was cut off; what was under way has been told. */
  readonly onFault?: (error: CardeaError) => void;
  /** Default: LIMITS.http2StreamWindowBytes. */
  readonly streamWindowBytes?: number;
  /**
   * Callers on a socket of the file system have no host to name, and gRPC's C core names the socket's path instead: what
   * stands there is passed over. Never where requests are routed or judged.
   */
  readonly ignoresAuthority?: boolean;
}

/** HTTP/2 towards a caller: many requests at once, each with a fate of its own. RFC 9113. */
export class Http2ServerConnection implements SessionOwner, LiveConnection {
  readonly side = "server";
  readonly probesPeer = true;
  readonly streamWindowBytes: number;
  readonly #connection: Connection;
  readonly #options: Http2ServerOptions;
  readonly #handler: RequestHandler;
  readonly #session: Http2Session;
  readonly #stillness = new Stillness();

  constructor(connection: Connection, options: Http2ServerOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#handler = options.handler;
    this.streamWindowBytes = options.streamWindowBytes ?? LIMITS.http2StreamWindowBytes;
    this.#session = new Http2Session(connection, this, options.clock);
    options.live.add(this);
  }

  /** Bytes that were read before the connection came here. */
  onData(chunk: Buffer): void {
    this.#session.onData(chunk);
  }

  onStream(stream: Http2Stream, block: HeaderBlock, { isEnd, dependsOnItself }: Opening): void {
    if (dependsOnItself) this.#refuse(stream, "a stream depends on itself");
    else if (block.at === "malformed") this.#refuse(stream, block.why);
    else if (block.at === "fields") this.#begin(stream, block, isEnd);
    else this.#answer(stream, new CardeaError("head-too-large", "the request's head is too long"));
  }

  onRoom(): void {}

  onRetired(): void {}

  onLost(error: CardeaError): void {
    if (FAULTS.has(error.code)) this.#options.onFault?.(error);
    this.#options.onGone?.();
  }

  onClosed(): void {
    this.#options.live.delete(this);
  }

  onTick(now: Moment): void {
    const { lifetime } = this.#options;
    if (now.wallMs >= lifetime.endsAtMs) {
      this.endNow(new CardeaError("certificate-ended", "the certificates of the caller's connection have ended"));
      return;
    }
    if (now.wallMs >= lifetime.retiresAtMs) this.drain();
    this.#session.onTick(now);
    const { bytesReceived, bytesSent } = this.#connection;
    const stillMs = this.#stillness.measureMs(bytesReceived + bytesSent, now.monotonicMs);
    if (this.#session.streamCount === 0 && stillMs >= LIMITS.keepAliveIdleMs) this.drain();
  }

  drain(): void {
    this.#session.drain();
  }

  endNow(error: CardeaError): void {
    this.#session.cut(error);
  }

  #begin(stream: Http2Stream, { fields, neverIndexed }: Extract<HeaderBlock, { at: "fields" }>, isEnd: boolean): void {
    const said = this.#options.ignoresAuthority === true ? withoutAuthority(fields) : fields;
    const reading = readRequestHead(said, isEnd, neverIndexed);
    if (reading.at === "head") {
      const served = new Http2ServerStream(stream, reading.head, this.#detach);
      served.attach(this.#handler.begin(reading.head, served));
    } else if (reading.error.code === "bad-request") this.#refuse(stream, reading.error.message, fields);
    else this.#answer(stream, reading.error, fields);
  }

  /** A malformed request: answered, for clients that look before the reset comes, and reset. RFC 9113 section 8.1.1. */
  #refuse(stream: Http2Stream, why: string, fields: Headers = UNREAD): void {
    stream.takeFault("PROTOCOL_ERROR", why);
    this.#answer(stream, new CardeaError("bad-request", why), fields);
  }

  #answer(stream: Http2Stream, error: CardeaError, fields: Headers = UNREAD): void {
    const isGrpc = isGrpcType(joinedHeader(fields, "content-type", fields.length) ?? "");
    this.#handler.refuse(error, new Http2ServerStream(stream, null, this.#detach), isGrpc);
  }

  readonly #detach = (stream: Http2Stream): Detached => {
    const { local, remote } = this.#connection;
    const connection = new Http2StreamConnection(stream, { local, remote, side: "downstream" });
    return { connection, early: null, lifetime: this.#options.lifetime };
  };
}

/** With a host that stands for none. */
function withoutAuthority(fields: readonly string[]): readonly string[] {
  return fields.map((text, index) => (index % 2 === 1 && fields[index - 1] === ":authority" ? "localhost" : text));
}

/** Of a head whose fields were lost. */
const UNREAD: Headers = Object.freeze([]);

/** What is worth a record of its own: all else has been recorded with its requests, or is no fault. */
const FAULTS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["http2-protocol-error", "http2-flood", "request-timeout"]);
