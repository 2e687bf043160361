import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Timer } from "../core/ports.ts";
import type { Headers } from "../wire/headers.ts";
import type { ResponseHead } from "../wire/http1-head.ts";
import type { OpenedConnection } from "./connect.ts";
import type { ChannelWaiter, TargetPool } from "./pool.ts";
import type { AnswerEvents, Channel, RequestFate, UpstreamStream } from "./streams.ts";

/**
 * A TCP connection through a workload's HBONE port: a stream of an HTTP/2 connection that is shared with others, opened
 * by CONNECT. Errors: `upstream-connect-failed` and `upstream-connect-timeout`, also where the other sidecar's app is not
 * there, `tunnel-refused` for any other answer but 2xx, as the pool's.
 */
export function openHboneTunnel(pool: TargetPool, asked: AskedTunnel, clock: Clock): Promise<OpenedConnection> {
  return new Promise((resolve, reject) => {
    new HboneConnect(pool, asked, { resolve, reject }).begin(clock);
  });
}

/** What a CONNECT says. */
export interface AskedTunnel {
  readonly authority: string;
  readonly headers: Headers;
}

interface Settling {
  resolve(opened: OpenedConnection): void;
  reject(error: CardeaError): void;
}

/** One CONNECT, up to its answer. */
class HboneConnect implements ChannelWaiter, AnswerEvents {
  readonly #pool: TargetPool;
  readonly #asked: AskedTunnel;
  readonly #settling: Settling;
  #channel: Channel | null = null;
  #stream: UpstreamStream | null = null;
  #timer: Timer | null = null;
  #isOver = false;
  #mayTryAgain = true;

  constructor(pool: TargetPool, asked: AskedTunnel, settling: Settling) {
    this.#pool = pool;
    this.#asked = asked;
    this.#settling = settling;
  }

  begin(clock: Clock): void {
    this.#timer = clock.setTimer(ANSWER_TIMEOUT_MS, () =>
      this.#fail(new CardeaError("upstream-connect-timeout", "the other sidecar does not answer CONNECT")),
    );
    this.#pool.acquire(this, "any");
  }

  onChannel(channel: Channel): void {
    if (this.#isOver) return;
    this.#channel = channel;
    const request = {
      method: "CONNECT",
      target: this.#asked.authority,
      headers: [...this.#asked.headers],
      framing: NO_FRAMING,
      upgrade: null,
      takesTrailers: false,
    };
    this.#stream = channel.send(request, this);
  }

  onNoChannel(error: CardeaError): void {
    this.#fail(error);
  }

  onInformational(): void {}

  onAnswer({ status }: ResponseHead): void {
    if (this.#isOver) return;
    if (status >= 300) {
      this.#fail(refusalOf(status));
      return;
    }
    this.#isOver = true;
    this.#timer?.cancel();
    const channel = this.#channel!;
    const { connection, lifetime } = this.#stream!.detach();
    const release = () => this.#pool.release(this);
    this.#settling.resolve({
      connection,
      lifetime,
      tls: channel.tls,
      protocol: "h2",
      release,
    });
  }

  onAnswerBody(): void {}

  onAnswerEnd(): void {}

  onUpstreamDrain(): void {}

  /** A connection that died before it was used is no reason to fail: nothing of the caller's was sent. */
  onUpstreamFailure(error: CardeaError, fate: RequestFate): void {
    if (this.#isOver) return;
    this.#stream = null;
    if (fate === "unknown" || !this.#mayTryAgain) {
      this.#fail(error);
      return;
    }
    this.#mayTryAgain = false;
    this.#pool.release(this);
    this.#pool.acquire(this, "fresh");
  }

  #fail(error: CardeaError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#stream?.abort();
    this.#pool.release(this);
    this.#settling.reject(error);
  }
}

/** What the other sidecar says of its app is what we would say of it ourselves; all else is a refusal of its own. */
function refusalOf(status: number): CardeaError {
  const detail = `the other sidecar answered CONNECT with ${status}`;
  if (status === 502 || status === 503) return new CardeaError("upstream-connect-failed", detail);
  return new CardeaError(status === 504 ? "upstream-connect-timeout" : "tunnel-refused", detail);
}

/** The other sidecar first dials its app, for which it may take as long as we for dialling it. */
const ANSWER_TIMEOUT_MS = 2 * LIMITS.connectTimeoutMs + LIMITS.handshakeTimeoutMs;
const NO_FRAMING = { kind: "none" } as const;
