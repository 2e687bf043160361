import * as fc from "fast-check";
import { expect, test } from "vitest";
import { CardeaError } from "../../../../src/core/errors.ts";
import type { DownstreamStream, RequestEvents, RequestHandler, UpstreamStream } from "../../../../src/proxy/streams.ts";
import { Http2ServerConnection } from "../../../../src/proxy/http2/server-connection.ts";
import { UNLIMITED } from "../../../../src/proxy/lifetime.ts";
import type { Headers } from "../../../../src/wire/headers.ts";
import { AnswerLog } from "../../../support/answer-log.ts";
import { type Bench, createBench, openClient } from "../../../support/http2-peers.ts";

// Many requests over one connection between our own client and server, held against what each of them was to carry:
// no bytes lost, none invented, none crossed between streams, whoever pauses or gives up in between.

interface Plan {
  readonly requestPieces: readonly number[];
  readonly answerPieces: readonly number[];
  readonly hasLength: boolean;
  readonly trailers: readonly string[];
  /** Turns for which each reader waits after each piece. */
  readonly readerWaits: number;
  readonly fate: "whole" | "caller aborts" | "app aborts";
}

const pieces = fc.array(fc.oneof(fc.nat(20), fc.nat(70_000)), { maxLength: 6 });
const plan: fc.Arbitrary<Plan> = fc.record({
  requestPieces: pieces,
  answerPieces: pieces,
  hasLength: fc.boolean(),
  trailers: fc.constantFrom([], ["x-sum", "1"]),
  readerWaits: fc.nat(3),
  fate: fc.constantFrom("whole", "whole", "whole", "caller aborts", "app aborts"),
});

/** Octets that tell stream, direction and place. */
function content(index: number, salt: number, sizes: readonly number[]): Buffer[] {
  let at = 0;
  return sizes.map((size) => Buffer.from(Array.from({ length: size }, () => (at++ * 31 + index * 7 + salt) & 0xff)));
}

const total = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

/** Sends pieces as long as it is let, and goes on when it is told. */
class Source {
  readonly #pieces: Buffer[];
  readonly #send: (piece: Buffer) => boolean;
  readonly #end: () => void;
  #isBlocked = false;

  constructor(pieces_: readonly Buffer[], send: (piece: Buffer) => boolean, end: () => void) {
    this.#pieces = pieces_.filter((piece) => piece.length > 0);
    this.#send = send;
    this.#end = end;
  }

  go(): void {
    this.#isBlocked = false;
    while (!this.#isBlocked) {
      const piece = this.#pieces.shift();
      if (piece === undefined) {
        this.#isBlocked = true;
        this.#end();
      } else if (!this.#send(piece)) this.#isBlocked = true;
    }
  }
}

/** Pauses after each piece, and resumes some turns later. */
class SlowReader {
  readonly #waits: number;
  #left = 0;

  constructor(waits: number) {
    this.#waits = waits;
  }

  pauses(): boolean {
    this.#left = this.#waits;
    return this.#waits > 0;
  }

  resumesNow(): boolean {
    return this.#left > 0 && --this.#left === 0;
  }
}

class App implements RequestEvents {
  readonly received: Buffer[] = [];
  trailers: Headers | null = null;
  failure: string | null = null;
  readonly #stream: DownstreamStream;
  readonly #reader: SlowReader;
  readonly #source: Source;
  #isOver = false;

  constructor(planned: Plan, index: number, stream: DownstreamStream) {
    this.#stream = stream;
    this.#reader = new SlowReader(planned.readerWaits);
    const bytes = total(planned.answerPieces);
    const framing = planned.hasLength ? ({ kind: "length", bytes } as const) : ({ kind: "chunked" } as const);
    stream.sendAnswer({
      status: 200,
      reason: "",
      headers: ["x-index", `${index}`],
      framing,
      isLast: false,
    });
    const end = (): void => {
      this.#isOver = true;
      if (planned.fate === "app aborts") stream.abort(new CardeaError("upstream-reset", "as planned"));
      else if (this.trailers !== null) this.#sendEnd(planned);
      else this.#endLater = () => this.#sendEnd(planned);
    };
    this.#source = new Source(content(index, 1, planned.answerPieces), (piece) => stream.sendBody(piece), end);
    queueMicrotask(() => this.#source.go());
  }

  #endLater: (() => void) | null = null;

  #sendEnd(planned: Plan): void {
    // A body of known length may have been ended with its head.
    this.#stream.sendEnd(planned.trailers);
  }

  turn(): void {
    if (this.#reader.resumesNow()) this.#stream.resumeBody();
  }

  onRequestBody(piece: Buffer): void {
    this.received.push(Buffer.from(piece));
    if (this.#reader.pauses()) this.#stream.pauseBody();
  }

  onRequestEnd(trailers: Headers): void {
    this.trailers = trailers;
    this.#endLater?.();
  }

  onDownstreamDrain(): void {
    if (!this.#isOver) this.#source.go();
  }

  onRequestFailure(error: { code: string }): void {
    this.failure = error.code;
    this.#isOver = true;
  }

  mayHoldEarlyData(): boolean {
    return true;
  }

  onStalled(): void {}
}

class Caller extends AnswerLog {
  readonly #reader: SlowReader;
  readonly #source: Source;
  readonly stream: UpstreamStream;

  constructor(planned: Plan, index: number, open: (log: AnswerLog) => UpstreamStream) {
    super();
    this.#reader = new SlowReader(planned.readerWaits);
    this.stream = open(this);
    const end = (): void => {
      if (planned.fate === "caller aborts") this.stream.abort();
      else this.stream.sendEnd(planned.trailers);
    };
    this.#source = new Source(content(index, 2, planned.requestPieces), (piece) => this.stream.sendBody(piece), end);
    this.#source.go();
  }

  turn(): void {
    if (this.#reader.resumesNow()) this.stream.resumeAnswer();
  }

  override onAnswerBody(piece: Buffer): void {
    super.onAnswerBody(piece);
    if (this.#reader.pauses()) this.stream.pauseAnswer();
  }

  override onUpstreamDrain(): void {
    this.#source.go();
  }
}

interface Run {
  readonly callers: readonly Caller[];
  readonly apps: ReadonlyMap<number, App>;
}

async function runAll(bench: Bench, plans: readonly Plan[]): Promise<Run> {
  const apps = new Map<number, App>();
  const handler: RequestHandler = {
    begin(head, stream) {
      const index = Number(head.path.slice(1));
      const app = new App(plans[index]!, index, stream);
      apps.set(index, app);
      return app;
    },
    refuse(error) {
      throw error;
    },
  };
  const { clock, live, network } = bench;
  const at = { host: "127.0.0.1", port: 8080 };
  await network.listen(at, (connection) => {
    void new Http2ServerConnection(connection, { handler, live, clock, lifetime: UNLIMITED });
  });
  const client = openClient(bench, await network.open(at));
  const callers = plans.map((planned, index) => {
    const bytes = total(planned.requestPieces);
    // A body of no length has no end of its own to send, so it is left to the answers.
    const framing =
      planned.hasLength && bytes > 0 && planned.fate === "whole"
        ? ({ kind: "length", bytes } as const)
        : ({ kind: "chunked" } as const);
    const request = {
      method: "POST",
      target: `/${index}`,
      headers: ["host", "a"],
      framing,
      upgrade: null,
      takesTrailers: false,
    };
    return new Caller(planned, index, (log) => client.send(request, log));
  });
  for (let turn = 0; turn < 200; turn++) {
    await network.settle();
    for (const caller of callers) caller.turn();
    for (const app of apps.values()) app.turn();
  }
  await network.settle();
  return { callers, apps };
}

test("many requests at once over one connection: each carries its own bytes, all of them, or is seen to be cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(plan, { minLength: 1, maxLength: 6 }), async (plans) => {
      const { callers, apps } = await runAll(createBench(), plans);
      for (const [index, planned] of plans.entries()) {
        const caller = callers[index]!;
        const app = apps.get(index);
        const sent = Buffer.concat(content(index, 2, planned.requestPieces));
        const answer = Buffer.concat(content(index, 1, planned.answerPieces));
        const received = Buffer.concat(app?.received ?? []);
        // Not by toEqual, which looks at octet after octet.
        expect(received.equals(sent.subarray(0, received.length))).toBe(true);
        expect(caller.body.equals(answer.subarray(0, caller.body.length))).toBe(true);
        const hasEnded = caller.words.includes("end");
        if (hasEnded) expect(caller.body).toHaveLength(answer.length);
        // An answer of known length that is empty ends with its head, and the request with it.
        const endsAtOnce = planned.hasLength && answer.length === 0;
        if (planned.fate !== "whole" || endsAtOnce) continue;
        expect(caller.words).toEqual(["head 200", "end"]);
        expect(caller.head!.headers).toContain(`${index}`);
        expect(caller.trailers).toEqual(planned.trailers);
        expect(received).toHaveLength(sent.length);
        expect(app!.trailers).toEqual(planned.trailers);
      }
    }),
    { numRuns: 30 },
  );
});
