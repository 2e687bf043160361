import { CardeaError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import type { Headers } from "../wire/headers.ts";
import type { BodyFraming, RequestHead } from "../wire/http1-head.ts";
import { ownPeer, unknownPeer } from "./flow-peers.ts";
import { OutboundCaller } from "./outbound-caller.ts";
import type { OutboundScope } from "./outbound.ts";
import type { Answer, Detached, DownstreamStream, RequestEvents } from "./streams.ts";

/** One request of the sidecar's own to a service of the mesh. */
export interface ServiceRequest {
  /** A host name as the registry knows it. */
  readonly service: string;
  readonly port: number;
  /** The authority that it is shown; left out: the service's name. */
  readonly host?: string | null;
  readonly method: string;
  readonly target: string;
  /** Flat; without host and framing. */
  readonly headers: readonly string[];
  /** Null: none. */
  readonly body: Buffer | null;
  readonly timeoutMs: number;
  /** Of the answer's body. */
  readonly answerBytesMax: number;
  /** Aborted: nobody wants the answer any more. */
  readonly signal: AbortSignal;
}

export interface ServiceAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly trailers: Headers;
}

/** Calls of the sidecar itself. */
export interface ServiceCalls {
  /**
   * Sends a request the way that our own app's go: routed by the registry, balanced, over mutual TLS, recorded. A failure
   * on the way is an answer, too. Errors: `upstream-timeout`, `upstream-reset`, `upstream-protocol-error`.
   */
  call(request: ServiceRequest): Promise<ServiceAnswer>;
}

export function callService(request: ServiceRequest, scope: OutboundScope): Promise<ServiceAnswer> {
  return new Promise((resolve, reject) => {
    const { service, port, body, timeoutMs, answerBytesMax, signal } = request;
    const { clock, own, workload } = scope;
    const here = { host: "127.0.0.1", port: 0 };
    const principal = own.get()?.identity.spiffeId ?? null;
    const caller = new OutboundCaller({
      ...scope,
      fixed: { service, servicePort: port },
      source: ownPeer(here, { workload, principal, service: null }),
      unknown: unknownPeer(here),
      serveHttp: noTunnel,
      detect: noTunnel,
    });
    const stream = new GatheredAnswer({ clock, timeoutMs, answerBytesMax, resolve, reject });
    const events = caller.begin(headOf(request), stream);
    stream.attach(events);
    const giveUp = () => stream.fail(new CardeaError("downstream-reset", "nobody waits for the answer any more"));
    signal.addEventListener("abort", giveUp);
    if (signal.aborted) giveUp();
    if (body === null || stream.isOver) return;
    events.onRequestBody(body);
    events.onRequestEnd([]);
  });
}

function headOf({ service, host, method, target, headers, body }: ServiceRequest): RequestHead {
  return {
    method,
    target,
    targetForm: "origin",
    minorVersion: 1,
    headers: [...headers],
    host: host ?? service,
    path: target,
    framing: framingOf(method, body),
    isKeepAlive: true,
    upgrade: null,
    expectsContinue: false,
    nominated: [],
  };
}

interface GatheredAnswerOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
  resolve(answer: ServiceAnswer): void;
  reject(error: CardeaError): void;
}

/** Without a body, a method that is made for one says so (RFC 9110 section 8.6). */
function framingOf(method: string, body: Buffer | null): BodyFraming {
  if (body !== null) return { kind: "length", bytes: body.length };
  return MADE_FOR_BODIES.has(method) ? { kind: "length", bytes: 0 } : { kind: "none" };
}

const MADE_FOR_BODIES: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** The caller's half of an exchange, where the caller is us: gathers the answer. */
class GatheredAnswer implements DownstreamStream {
  isOver = false;
  readonly #options: GatheredAnswerOptions;
  readonly #timer: { cancel(): void };
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  #answer: Answer | null = null;
  #events: RequestEvents | null = null;

  constructor(options: GatheredAnswerOptions) {
    this.#options = options;
    const { clock, timeoutMs } = options;
    this.#timer = clock.setTimer(timeoutMs, () => {
      this.fail(new CardeaError("upstream-timeout", `no answer in ${timeoutMs} ms`));
    });
  }

  /** Whom to tell that the answer is not wanted any more. */
  attach(events: RequestEvents): void {
    if (!this.isOver) this.#events = events;
  }

  fail(error: CardeaError): void {
    const events = this.#events;
    if (!this.#leave()) return;
    this.#options.reject(error);
    // As if the caller had gone, which it has.
    events?.onRequestFailure(new CardeaError("downstream-reset", error.message));
  }

  sendInformational(): void {}

  sendAnswer(answer: Answer): void {
    this.#answer = answer;
  }

  sendBody(piece: Buffer): boolean {
    this.#bytes += piece.length;
    if (this.#bytes > this.#options.answerBytesMax)
      this.fail(new CardeaError("upstream-protocol-error", "the answer is too long"));
    else this.#pieces.push(piece);
    return true;
  }

  sendEnd(trailers: Headers): void {
    if (!this.#leave()) return;
    const { status, headers } = this.#answer!;
    this.#options.resolve({ status, headers, body: Buffer.concat(this.#pieces), trailers });
  }

  abort(error: CardeaError): void {
    if (this.#leave()) this.#options.reject(error);
  }

  pauseBody(): void {}

  resumeBody(): void {}

  detach(): Detached {
    return noTunnel();
  }

  #leave(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    this.#events = null;
    this.#timer.cancel();
    return true;
  }
}

function noTunnel(): never {
  throw new CardeaError("internal", "a call of our own never becomes a tunnel");
}
