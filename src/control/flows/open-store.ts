import { extname } from "node:path";
import { CardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Clock, Logger, Timer } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { startThread, type Thread } from "../../io/worker.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import type { Collected } from "./collect.ts";
import type {
  DecisionsAnswer,
  EdgesAnswer,
  FlowFilter,
  FlowQueries,
  FlowsAnswer,
  ReadableNamespaces,
  TimeRange,
} from "./query.ts";
import type { FromThread, Question, ThreadData, ToThread } from "./thread-messages.ts";

/** The flow store, as the control plane has it: in a thread of its own. */
export interface OpenFlowStore extends FlowQueries {
  /**
   * Stores what a sidecar has sent; resolves when it is durable. Errors: `overloaded` when too much waits, `bad-input` when
   * it is no request, `disk-full`, `damaged`, `internal`.
   */
  export(request: Uint8Array, sender: SpiffeId): Promise<Collected>;
  close(): Promise<void>;
}

/** What the store's thread stands on. */
export interface StorePorts {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Starts the thread. */
  start(data: ThreadData): Thread;
}

/**
 * Opens the store in a directory of its own. Where its thread ends, or does not start, another is started after a while, as
 * often as it takes: certificates and policies must not wait for flows.
 */
export async function openFlowStore(data: ThreadData, ports: StorePorts): Promise<OpenFlowStore> {
  const store = new StoreThread(data, ports);
  await store.begin().catch(() => undefined);
  return store;
}

/** The store's thread, as a module of the same kind as this one: from the sources or compiled. */
export function startStoreThread(data: ThreadData): Thread {
  const module = new URL(`./store-thread${extname(import.meta.filename)}`, import.meta.url);
  return startThread(module, data, THREAD_HEAP_MIB_MAX);
}

const THREAD_HEAP_MIB_MAX = 512;

interface Call {
  readonly bytes: number;
  resolve(answer: unknown): void;
  reject(error: CardeaError): void;
}

interface Followed {
  readonly filter: FlowFilter;
  readonly namespaces: ReadableNamespaces;
  readonly onFlows: (flows: readonly FlowRecord[]) => void;
}

class StoreThread implements OpenFlowStore {
  readonly #data: ThreadData;
  readonly #ports: StorePorts;
  readonly #calls = new Map<number, Call>();
  readonly #followers = new Map<number, Followed>();
  readonly #closed = Promise.withResolvers<void>();
  #thread: Thread | null = null;
  /** Why there is none at the moment, or for ever. */
  #ended: CardeaError | null = null;
  #isClosed = false;
  #failures = 0;
  #startedMs = 0;
  #again: Timer | null = null;
  #nextCall = 0;
  #waitingBytes = 0;

  constructor(data: ThreadData, ports: StorePorts) {
    this.#data = data;
    this.#ports = ports;
  }

  /** Resolves when the thread is ready; rejects when it has ended before that. */
  begin(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const thread = this.#ports.start(this.#data);
    this.#thread = thread;
    this.#startedMs = this.#ports.clock.monotonicMs();
    thread.onMessage((message) => {
      const said = message as FromThread;
      if (said.at !== "ready") return this.#take(said);
      this.#ended = null;
      for (const [call, { filter, namespaces }] of this.#followers)
        this.#tell({ at: "follow", call, filter, namespaces });
      resolve();
    });
    void thread.ended.then((error) => {
      const why = error?.message ?? (this.#isClosed ? "it was closed" : "its thread has stopped");
      const failure = new CardeaError("internal", `the flow store has ended: ${why}`, error ?? undefined);
      reject(failure);
      this.#end(failure);
    });
    return promise;
  }

  export(request: Uint8Array, sender: SpiffeId): Promise<Collected> {
    if (this.#waitingBytes + request.length > FLOW_LIMITS.flowCollectBytesMax)
      return Promise.reject(new CardeaError("overloaded", "the flow store has more to do than it can keep waiting"));
    return this.#call((call) => ({ at: "export", call, request, sender }), request.length) as Promise<Collected>;
  }

  edges(query: Parameters<FlowQueries["edges"]>[0]): Promise<EdgesAnswer> {
    return this.#ask({ about: "edges", query }) as Promise<EdgesAnswer>;
  }

  decisions(query: Parameters<FlowQueries["decisions"]>[0]): Promise<DecisionsAnswer> {
    return this.#ask({ about: "decisions", query }) as Promise<DecisionsAnswer>;
  }

  flows(query: Parameters<FlowQueries["flows"]>[0]): Promise<FlowsAnswer> {
    return this.#ask({ about: "flows", query }) as Promise<FlowsAnswer>;
  }

  flow(...[id, namespaces]: Parameters<FlowQueries["flow"]>): Promise<readonly FlowRecord[]> {
    return this.#ask({ about: "flow", id, namespaces }) as Promise<readonly FlowRecord[]>;
  }

  span(): Promise<TimeRange | null> {
    return this.#ask({ about: "span" }) as Promise<TimeRange | null>;
  }

  follow(...[filter, namespaces, onFlows]: Parameters<FlowQueries["follow"]>): () => void {
    const call = this.#nextCall++;
    this.#followers.set(call, { filter, namespaces, onFlows });
    this.#tell({ at: "follow", call, filter, namespaces });
    return () => {
      this.#followers.delete(call);
      this.#tell({ at: "unfollow", call });
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#again?.cancel();
    if (this.#ended === null) {
      this.#tell({ at: "close" });
      await this.#closed.promise;
    }
    await this.#thread?.terminate();
  }

  #ask(question: Question): Promise<unknown> {
    return this.#call((call) => ({ at: "ask", call, question }), 0);
  }

  #call(messageOf: (call: number) => ToThread, bytes: number): Promise<unknown> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const call = this.#nextCall++;
    this.#waitingBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { bytes, resolve, reject });
      this.#tell(messageOf(call));
    });
  }

  #tell(message: ToThread): void {
    if (this.#ended === null) this.#thread?.post(message);
  }

  #take(said: Exclude<FromThread, { at: "ready" }>): void {
    switch (said.at) {
      case "stored":
        this.#settle(said.call)?.resolve(said.collected);
        break;
      case "answered":
        this.#settle(said.call)?.resolve(said.answer);
        break;
      case "failed":
        this.#settle(said.call)?.reject(new CardeaError(said.code, said.message));
        break;
      case "followed":
        this.#followers.get(said.call)?.onFlows(said.flows);
        break;
      case "log":
        this.#ports.logger.log(said.level, said.event, said.fields);
        break;
      case "closed":
        this.#closed.resolve();
        break;
    }
  }

  #settle(call: number): Call | undefined {
    const found = this.#calls.get(call);
    this.#calls.delete(call);
    this.#waitingBytes -= found?.bytes ?? 0;
    return found;
  }

  #end(failure: CardeaError): void {
    this.#thread = null;
    this.#ended = failure;
    for (const call of this.#calls.keys()) this.#settle(call)?.reject(failure);
    if (this.#isClosed) return this.#closed.resolve();
    const { clock, logger } = this.#ports;
    // One that was there for long had another reason than the one before.
    if (clock.monotonicMs() - this.#startedMs > FLOW_LIMITS.flowStoreRestartMsMax) this.#failures = 0;
    const waitMs = Math.min(FLOW_LIMITS.flowStoreRestartMsMax, FLOW_LIMITS.flowStoreRestartMs * 2 ** this.#failures++);
    logger.log("error", "flow-store-ended", { error: failure.message, failures: this.#failures });
    this.#again = clock.setTimer(waitMs, () => {
      this.begin().then(
        () => logger.log("info", "flow-store-again", { failures: this.#failures }),
        // It has been told of, and the next wait has begun.
        () => {},
      );
    });
  }
}
