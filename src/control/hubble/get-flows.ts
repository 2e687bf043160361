import type { HubbleResponse } from "../../api/hubble-messages.ts";
import { type CardeaError, toCardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Clock } from "../../core/ports.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import type { FlowQueries, FlowsQuery, ReadableNamespaces } from "../flows/query.ts";
import { extensionsOf, flowMessageOf, type ObserverPlace, timestampOf } from "./flow-message.ts";
import type { FlowsRequest } from "./flows-request.ts";
import { LiveFlows, type Loss } from "./live-flows.ts";
import { storeFilterOf } from "./store-filter.ts";

/** One reader's stream. */
export interface FlowsStream {
  /** Resolves when the reader can take more, or is gone. */
  send(response: HubbleResponse): Promise<void>;
  /** Aborts when the reader is gone. */
  readonly gone: AbortSignal;
}

export interface GetFlowsOptions {
  readonly queries: Pick<FlowQueries, "flows" | "follow" | "span">;
  readonly place: ObserverPlace;
  readonly namespaces: ReadableNamespaces;
  readonly clock: Clock;
}

/** Answers a GetFlows: what is stored, then what happens, for a reader who follows. Errors: those of the queries. */
export async function getFlows(request: FlowsRequest, stream: FlowsStream, options: GetFlowsOptions): Promise<void> {
  const answer = new Answer(request, stream, options);
  if (!request.isFollowing) return answer.past(false);
  const live = new LiveFlows();
  // Following begins before the past is read, so that nothing falls between.
  const { fromMs: _since, toMs: _until, ...filter } = storeFilterOf(request);
  const unfollow = options.queries.follow(filter, options.namespaces, (flows) => live.push(flows));
  const onGone = (): void => live.close();
  stream.gone.addEventListener("abort", onGone, { once: true });
  const watch = watchStore(options, onGone);
  try {
    await answer.past(true);
    await answer.goOn(live);
  } finally {
    stream.gone.removeEventListener("abort", onGone);
    watch.close();
    unfollow();
    live.close();
  }
  watch.assertThere();
}

const WATCH_MS = 5_000;

/** A store that has ended tells its followers nothing more, which must not look like a quiet mesh. */
function watchStore({ queries, clock }: GetFlowsOptions, onGone: () => void): { close(): void; assertThere(): void } {
  let failure: CardeaError | null = null;
  const ask = (): void => {
    queries.span().then(
      () => {
        if (!isClosed) timer = clock.setTimer(WATCH_MS, ask);
      },
      (thrown: unknown) => {
        failure = toCardeaError(thrown);
        onGone();
      },
    );
  };
  let isClosed = false;
  let timer = clock.setTimer(WATCH_MS, ask);
  return {
    close() {
      isClosed = true;
      timer.cancel();
    },
    assertThere() {
      if (failure !== null) throw failure;
    },
  };
}

const PAGE_MIN = 100;

/** Flows of the past that are remembered, so that those which are in both parts are told once. */
const REMEMBERED_MAX = 20_000;

class Answer {
  readonly #request: FlowsRequest;
  readonly #stream: FlowsStream;
  readonly #options: GetFlowsOptions;
  readonly #told = new Set<string>();
  #sent = 0;
  #inVain = 0;

  constructor(request: FlowsRequest, stream: FlowsStream, options: GetFlowsOptions) {
    this.#request = request;
    this.#stream = stream;
    this.#options = options;
  }

  async past(isFollowed: boolean): Promise<void> {
    const { number, isFirst, isFollowing, sinceMs } = this.#request;
    if (isFollowing && sinceMs === null && number === 0) return;
    if (number === null || isFirst || sinceMs !== null) await this.#fromTheOldest(isFollowed);
    else await this.#newest(number, isFollowed);
  }

  async goOn(live: LiveFlows): Promise<void> {
    const { untilMs } = this.#request;
    for (let taken = await live.take(); taken !== null; taken = await live.take()) {
      for (const flow of taken.flows) {
        if (untilMs !== null && flow.timeMs > untilMs) return;
        if (!this.#told.has(keyOf(flow))) await this.#tell(flow);
      }
      if (taken.loss !== null) await this.#stream.send(lossMessage(taken.loss, this.#options));
    }
  }

  async #fromTheOldest(isFollowed: boolean): Promise<void> {
    const { number } = this.#request;
    const max = isFollowed ? null : number;
    for await (const flow of this.#read("oldest-first")) {
      if (isFollowed) this.#remember(flow);
      await this.#tell(flow);
      if (max !== null && this.#sent >= max) return;
    }
  }

  /** Held until the oldest of them is known. */
  async #newest(number: number, isFollowed: boolean): Promise<void> {
    const found: FlowRecord[] = [];
    if (number > 0) {
      for await (const flow of this.#read("newest-first")) {
        if (isFollowed) this.#remember(flow);
        if (this.#takes(flow)) found.push(flow);
        if (found.length === number) break;
      }
    }
    for (const flow of found.toReversed()) await this.#tell(flow);
  }

  /** What the store has, up to so many flows that nobody wanted. */
  async *#read(order: NonNullable<FlowsQuery["order"]>): AsyncGenerator<FlowRecord> {
    const { queries, namespaces } = this.#options;
    const filter = storeFilterOf(this.#request);
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const from = cursor === undefined ? {} : { cursor };
      const page = await queries.flows({ filter, namespaces, order, limit: this.#pageSize(), ...from });
      for (const flow of page.flows) {
        if (this.#stream.gone.aborted) return;
        yield flow;
      }
      ({ cursor } = page);
      if (this.#inVain > FLOW_LIMITS.hubbleLookedAtMax && cursor !== null) {
        await this.#stream.send(endMessage(this.#inVain, this.#options));
        return;
      }
    }
  }

  /** Twenty flows are mostly found among the newest hundred; who looks for rare ones looks through many. */
  #pageSize(): number {
    const { number } = this.#request;
    const few = this.#inVain > 0 || number === null ? FLOW_LIMITS.flowAnswerMax : number;
    return Math.max(PAGE_MIN, Math.min(few, FLOW_LIMITS.flowAnswerMax));
  }

  async #tell(flow: FlowRecord): Promise<void> {
    const { place } = this.#options;
    const message = flowMessageOf(flow, place);
    if (!this.#request.takes(message)) {
      this.#inVain += 1;
      return;
    }
    this.#sent += 1;
    const { time } = message;
    await this.#stream.send({
      flow: this.#request.mask({ ...message, extensions: extensionsOf(flow) }),
      nodeName: place.node,
      ...(time === undefined ? {} : { time }),
    });
  }

  #takes(flow: FlowRecord): boolean {
    const isTaken = this.#request.takes(flowMessageOf(flow, this.#options.place));
    if (!isTaken) this.#inVain += 1;
    return isTaken;
  }

  #remember(flow: FlowRecord): void {
    this.#told.add(keyOf(flow));
    if (this.#told.size <= REMEMBERED_MAX) return;
    const [oldest] = this.#told;
    this.#told.delete(oldest!);
  }
}

function keyOf({ reporter, id }: FlowRecord): string {
  return `${reporter} ${id}`;
}

function lossMessage({ count, firstMs, lastMs }: Loss, { place, clock }: GetFlowsOptions): HubbleResponse {
  return {
    lostEvents: {
      source: "HUBBLE_RING_BUFFER",
      numEventsLost: count,
      first: timestampOf(firstMs),
      last: timestampOf(lastMs),
    },
    nodeName: place.node,
    time: timestampOf(clock.wallMs()),
  };
}

/** A reader must not take what it got for all that there is. */
function endMessage(count: number, { place, clock }: GetFlowsOptions): HubbleResponse {
  const message = `looked at ${count} flows that the filters leave out, and there are more: ask for a span of time`;
  return {
    nodeStatus: { stateChange: "NODE_ERROR", nodeNames: [place.node], message },
    nodeName: place.node,
    time: timestampOf(clock.wallMs()),
  };
}
