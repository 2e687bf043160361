import { CardeaError, ERROR_TABLE } from "../../src/core/errors.ts";
import { makeLocalAnswer, sendLocalAnswer } from "../../src/proxy/local-answer.ts";
import type { DownstreamStream, InformationalAnswer, RequestEvents, RequestHandler } from "../../src/proxy/streams.ts";
import type { Headers } from "../../src/wire/headers.ts";
import { hasBody } from "../../src/wire/http1-body.ts";
import type { RequestHead } from "../../src/wire/http1-head.ts";

export interface EchoHandler extends RequestHandler {
  /** Requests that could not be read, and failures of others, in order. */
  readonly errors: CardeaError[];
  /** Heads in the order in which they came. */
  readonly heads: RequestHead[];
}

/**
 * An app behind a server connection: answers a request with its own body and trailers, and one without a body with
 * its path. `/early` is answered before its body is read; CONNECT and upgrades become tunnels that echo.
 */
export function createEchoHandler(): EchoHandler {
  const errors: CardeaError[] = [];
  const heads: RequestHead[] = [];
  return {
    errors,
    heads,
    begin(head, stream) {
      heads.push(head);
      return new Echo(head, stream, errors);
    },
    refuse(error, stream) {
      errors.push(error);
      sendLocalAnswer(stream, makeLocalAnswer({ code: error.code, denialId: null, method: null, isGrpc: false }));
    },
  };
}

class Echo implements RequestEvents {
  readonly #head: RequestHead;
  readonly #stream: DownstreamStream;
  readonly #errors: CardeaError[];
  #isOver = false;
  #isAnswered = false;

  constructor(head: RequestHead, stream: DownstreamStream, errors: CardeaError[]) {
    this.#head = head;
    this.#stream = stream;
    this.#errors = errors;
    if (head.method === "CONNECT" || head.upgrade !== null) this.#openTunnel();
    else if (head.path === "/early" || !hasBody(head.framing)) this.#answerAtOnce();
    else if (head.expectsContinue) stream.sendInformational(CONTINUE);
  }

  onRequestBody(piece: Buffer): void {
    if (this.#isOver) return;
    if (!this.#isAnswered) this.#sendHead();
    if (!this.#stream.sendBody(piece)) this.#stream.pauseBody();
  }

  onRequestEnd(trailers: Headers): void {
    if (this.#isOver) return;
    if (!this.#isAnswered) this.#sendHead();
    this.#isOver = true;
    this.#stream.sendEnd(trailers);
  }

  onDownstreamDrain(): void {
    if (!this.#isOver) this.#stream.resumeBody();
  }

  onRequestFailure(error: CardeaError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#errors.push(error);
    if (ERROR_TABLE[error.code].httpStatus !== 400) return;
    if (this.#isAnswered) this.#stream.abort(error);
    else
      sendLocalAnswer(this.#stream, makeLocalAnswer({ code: error.code, denialId: null, method: null, isGrpc: false }));
  }

  mayHoldEarlyData(): boolean {
    return true;
  }

  onStalled(): void {
    this.#isOver = true;
    this.#stream.abort(new CardeaError("upstream-timeout", "nothing moved"));
  }

  #sendHead(): void {
    this.#isAnswered = true;
    const { framing } = this.#head;
    this.#stream.sendAnswer({ status: 200, reason: "OK", headers: [], framing, isLast: false });
  }

  #answerAtOnce(): void {
    this.#isOver = true;
    const text = Buffer.from(`${this.#head.method} ${this.#head.path}\n`, "latin1");
    const isHead = this.#head.method === "HEAD";
    const framing = isHead ? ({ kind: "none" } as const) : ({ kind: "length", bytes: text.length } as const);
    const headers = ["content-type", "text/plain"];
    this.#stream.sendAnswer({ status: 200, reason: "OK", headers, framing, isLast: false });
    if (!isHead) this.#stream.sendBody(text);
    this.#stream.sendEnd([]);
  }

  #openTunnel(): void {
    this.#isOver = true;
    const { upgrade } = this.#head;
    const status = upgrade === null ? 200 : 101;
    const headers = upgrade === null ? [] : ["upgrade", upgrade];
    const framing = { kind: "none" } as const;
    this.#stream.sendAnswer({ status, reason: "", headers, framing, isLast: false });
    const { connection } = this.#stream.detach();
    connection.setHandlers({
      onData: (chunk) => {
        if (!connection.write(chunk)) connection.pause();
      },
      onEnd: () => connection.end(),
      onDrain: () => connection.resume(),
      onClose: () => {},
    });
    connection.resume();
  }
}

const CONTINUE: InformationalAnswer = { status: 100, reason: "Continue", headers: [] };
