import { extname } from "node:path";
import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Logger } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { startThread, type Thread } from "../../io/worker.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import type { Collected } from "./collect.ts";
import type { EdgesAnswer, FlowQueries, FlowsAnswer, TimeRange } from "./query.ts";
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

/** Opens the store in a directory of its own. Errors: `internal` when its thread does not start. */
export async function openFlowStore(data: ThreadData, logger: Logger): Promise<OpenFlowStore> {
  // From the sources or compiled: the thread's module is of the same kind as this one.
  const module = new URL(`./store-thread${extname(import.meta.filename)}`, import.meta.url);
  const thread = startThread(module, data, THREAD_HEAP_MIB_MAX);
  const store = new StoreThread(thread, logger);
  await store.ready;
  return store;
}

const THREAD_HEAP_MIB_MAX = 512;

interface Call {
  readonly bytes: number;
  resolve(answer: unknown): void;
  reject(error: CardeaError): void;
}

class StoreThread implements OpenFlowStore {
  readonly ready: Promise<void>;
  readonly #thread: Thread;
  readonly #logger: Logger;
  readonly #calls = new Map<number, Call>();
  readonly #followers = new Map<number, (flows: readonly FlowRecord[]) => void>();
  readonly #closed = Promise.withResolvers<void>();
  #ended: CardeaError | null = null;
  #nextCall = 0;
  #waitingBytes = 0;

  constructor(thread: Thread, logger: Logger) {
    this.#thread = thread;
    this.#logger = logger;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    thread.onMessage((message) => {
      const said = message as FromThread;
      if (said.at === "ready") resolve();
      else this.#take(said);
    });
    void thread.ended.then((error) => {
      const failure = new CardeaError(
        "internal",
        `the flow store has ended: ${error?.message ?? "it was closed"}`,
        error,
      );
      this.#end(failure, error !== null);
      reject(failure);
    });
  }

  export(request: Uint8Array, sender: SpiffeId): Promise<Collected> {
    if (this.#waitingBytes + request.length > FLOW_LIMITS.flowCollectBytesMax)
      return Promise.reject(new CardeaError("overloaded", "the flow store has more to do than it can keep waiting"));
    return this.#call((call) => ({ at: "export", call, request, sender }), request.length) as Promise<Collected>;
  }

  edges(query: Parameters<FlowQueries["edges"]>[0]): Promise<EdgesAnswer> {
    return this.#ask({ about: "edges", query }) as Promise<EdgesAnswer>;
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
    this.#followers.set(call, onFlows);
    this.#tell({ at: "follow", call, filter, namespaces });
    return () => {
      this.#followers.delete(call);
      this.#tell({ at: "unfollow", call });
    };
  }

  async close(): Promise<void> {
    if (this.#ended === null) {
      this.#tell({ at: "close" });
      await this.#closed.promise;
    }
    await this.#thread.terminate();
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
    if (this.#ended === null) this.#thread.post(message);
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
        this.#followers.get(said.call)?.(said.flows);
        break;
      case "log":
        this.#logger.log(said.level, said.event, said.fields);
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

  #end(failure: CardeaError, isFault: boolean): void {
    this.#ended = failure;
    if (isFault) this.#logger.log("error", "flow-store-ended", { error: toCardeaError(failure).message });
    for (const call of this.#calls.keys()) this.#settle(call)?.reject(failure);
    this.#closed.resolve();
  }
}
