import { DELTA_DISCOVERY_RESPONSE } from "../../src/api/messages.ts";
import type { Clock } from "../../src/core/ports.ts";
import { Http2ServerConnection } from "../../src/proxy/http2/server-connection.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import { UNLIMITED } from "../../src/proxy/lifetime.ts";
import { LiveConnections } from "../../src/proxy/live.ts";
import type { DownstreamStream } from "../../src/proxy/streams.ts";
import { encodeGrpcMessage, GrpcMessageReader } from "../../src/wire/grpc-message.ts";
import { CHUNKED } from "../../src/wire/http1-message.ts";
import type { SimNetwork } from "./sim-network.ts";

/** The one address of a control plane in memory. */
export const CONTROL_AT = { host: "127.0.0.1", port: 15_012 };

/** A call that has come in, to be answered by the test. */
export interface SimCall {
  readonly path: string;
  /** Of the caller's messages so far, those that were whole. */
  readonly messages: Buffer[];
  readonly hasFailed: boolean;
  /** A discovery response; the first one sends the head. */
  respond(response: Parameters<typeof DELTA_DISCOVERY_RESPONSE.serialize>[0]): void;
  send(message: Buffer): void;
  end(grpcStatus: number, message?: string): void;
}

export interface SimControl {
  readonly calls: SimCall[];
  readonly live: LiveConnections;
  /** Connections whose handshake is done. */
  readonly connectionCount: number;
}

export interface SimControlOptions {
  readonly network: SimNetwork;
  readonly clock: Clock;
  readonly identity: Identity;
  readonly alpn?: string | null;
}

/** A gRPC server of our own HTTP/2, in memory, so that a simulation sees every step of a sidecar's calls. */
export async function listenSimControl({
  network,
  clock,
  identity,
  alpn = "h2",
}: SimControlOptions): Promise<SimControl> {
  const calls: SimCall[] = [];
  const live = new LiveConnections(clock);
  const context = network.createTlsContext(identity.material);
  let connectionCount = 0;
  await network.listen(CONTROL_AT, (connection) => {
    const onData = async (head: Buffer): Promise<void> => {
      const options = { context, handshakeTimeoutMs: 1_000, chooseAlpn: () => alpn };
      const secure = await network.serveTls(connection, head, options).catch(() => null);
      if (secure === null) return;
      connectionCount += 1;
      const handler = {
        begin({ target }: { readonly target: string }, stream: DownstreamStream) {
          const call = new IncomingCall(target, stream);
          calls.push(call);
          return call;
        },
        refuse: () => {},
      };
      void new Http2ServerConnection(secure, { handler, live, clock, lifetime: UNLIMITED, onFault: () => {} });
    };
    connection.setHandlers({ onData: (head) => void onData(head), onEnd() {}, onDrain() {}, onClose() {} });
  });
  return {
    calls,
    live,
    get connectionCount() {
      return connectionCount;
    },
  };
}

class IncomingCall implements SimCall {
  readonly path: string;
  readonly messages: Buffer[] = [];
  hasFailed = false;
  readonly #stream: DownstreamStream;
  readonly #reader = new GrpcMessageReader(1_000_000);
  #hasAnswered = false;

  constructor(path: string, stream: DownstreamStream) {
    this.path = path;
    this.#stream = stream;
  }

  respond(response: Parameters<typeof DELTA_DISCOVERY_RESPONSE.serialize>[0]): void {
    this.send(DELTA_DISCOVERY_RESPONSE.serialize(response));
  }

  send(message: Buffer): void {
    this.#answer();
    this.#stream.sendBody(encodeGrpcMessage(message));
  }

  end(grpcStatus: number, message = ""): void {
    this.#answer();
    this.#stream.sendEnd(["grpc-status", String(grpcStatus), "grpc-message", message]);
  }

  onRequestBody(piece: Buffer): void {
    this.#reader.feed(piece);
    for (let next = this.#reader.next(); next.at === "message"; next = this.#reader.next()) {
      this.messages.push(Buffer.from(next.message));
    }
  }

  onRequestEnd(): void {}
  onDownstreamDrain(): void {}
  onStalled(): void {}

  onRequestFailure(): void {
    this.hasFailed = true;
  }

  mayHoldEarlyData(): boolean {
    return false;
  }

  #answer(): void {
    if (this.#hasAnswered) return;
    this.#hasAnswered = true;
    const headers = ["content-type", "application/grpc+proto"];
    this.#stream.sendAnswer({
      status: 200,
      reason: "OK",
      headers,
      framing: CHUNKED,
      isLast: false,
    });
  }
}
