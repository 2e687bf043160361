import { type CardeaError, ERROR_TABLE, toCardeaError } from "../../core/errors.ts";
import {
  type KubeApi,
  type KubeEvent,
  type KubeObject,
  type KubeResource,
  type KubeSelection,
  keyOf,
} from "../../core/kube.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Logger, Random, Timer } from "../../core/ports.ts";

/** All objects of a kind, followed as they change. */
export interface Informer {
  readonly resource: KubeResource;
  /** By `namespace/name`. */
  readonly objects: ReadonlyMap<string, KubeObject>;
  /** The first list is in. */
  readonly synced: Promise<void>;
  /** Why it cannot follow now; null: it can. What it holds stays. */
  readonly error: CardeaError | null;
  close(): void;
}

export interface InformerOptions {
  readonly api: KubeApi;
  readonly resource: KubeResource;
  readonly selection?: KubeSelection;
  /** The API may not have the kind (a CRD that is not installed): there are no objects then, and that is no failure. */
  readonly isOptional?: boolean;
  /** What is kept of an object; left out, all but its managedFields. */
  readonly trim?: (object: KubeObject) => KubeObject;
  /** After each change; null: it is gone. Lists tell what is different alone. */
  onChange?(key: string, after: KubeObject | null, before: KubeObject | null): void;
  /** After a list, or an event: what was told so far is a whole. */
  onSettled?(): void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** List, then watch; from where the watch broke off, or anew when the server has forgotten that (410). Ends with `close`. */
export function openInformer(options: InformerOptions): Informer {
  const informer = new ListWatch(options);
  void informer.run();
  return informer;
}

/** A watch that breaks so often in a row is not resumed: what it resumes from may be the reason. */
const RESUMES_MAX = 3;
const RETRY_MS_MIN = 250;
const ABSENT_RETRY_MS = 10_000;
/** A watch that lived for less, and brought nothing, has failed, however politely it ended. */
const WATCH_MS_MIN = 1_000;

class ListWatch implements Informer {
  readonly resource: KubeResource;
  readonly objects = new Map<string, KubeObject>();
  readonly synced: Promise<void>;
  error: CardeaError | null = null;
  readonly #options: InformerOptions;
  readonly #abort = new AbortController();
  #onSynced: () => void = () => undefined;
  /** Null: list first. */
  #resourceVersion: string | null = null;
  #failures = 0;
  /** Since when the API says that it does not have the kind. */
  #absentSinceMs: number | null = null;
  #isFull = false;

  constructor(options: InformerOptions) {
    this.resource = options.resource;
    this.#options = options;
    this.synced = new Promise((resolve) => {
      this.#onSynced = resolve;
    });
  }

  close(): void {
    this.#abort.abort();
  }

  /** Never rejects. */
  async run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        this.#resourceVersion ??= await this.#list();
        await this.#watch(this.#resourceVersion);
      } catch (thrown) {
        if (this.#abort.signal.aborted) return;
        await this.#recover(toCardeaError(thrown));
      }
    }
  }

  async #list(): Promise<string> {
    const { api, resource, selection } = this.#options;
    const { items, resourceVersion } = await api.list(resource, selection, this.#abort.signal);
    this.#absentSinceMs = null;
    const gone = new Set(this.objects.keys());
    for (const item of items) {
      gone.delete(keyOf(item));
      if (this.objects.get(keyOf(item))?.metadata.resourceVersion !== item.metadata.resourceVersion) this.#put(item);
    }
    for (const key of gone) this.#remove(key);
    this.#settle();
    return resourceVersion;
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { api, resource, selection, clock } = this.#options;
    const sinceMs = clock.monotonicMs();
    let events = 0;
    let opened: Timer | null = null;
    try {
      for await (const event of api.watch(resource, { ...selection, resourceVersion }, this.#abort.signal)) {
        if (this.#abort.signal.aborted) return;
        if (event.type === "OPENED") {
          // Nothing need happen for minutes; that the server goes on with it is news enough.
          opened = clock.setTimer(WATCH_MS_MIN, () => this.#clearError());
          continue;
        }
        events += 1;
        this.#take(event);
      }
    } finally {
      opened?.cancel();
    }
    if (events > 0 || clock.monotonicMs() - sinceMs >= WATCH_MS_MIN) this.#recovered();
    else await this.#pause();
  }

  #take(event: Exclude<KubeEvent, { type: "OPENED" }>): void {
    this.#recovered();
    if (event.type === "BOOKMARK") {
      this.#resourceVersion = event.resourceVersion;
      return;
    }
    this.#resourceVersion = event.object.metadata.resourceVersion ?? this.#resourceVersion;
    if (event.type === "DELETED") this.#remove(keyOf(event.object));
    else this.#put(event.object);
    this.#options.onSettled?.();
  }

  #put(found: KubeObject): void {
    const object = (this.#options.trim ?? withoutManagedFields)(found);
    const key = keyOf(object);
    const before = this.objects.get(key) ?? null;
    if (before === null && this.objects.size >= LIMITS.kubeObjectsMax) {
      if (!this.#isFull) this.#log("warn", "kube-objects-left-out", { error: `more than ${LIMITS.kubeObjectsMax}` });
      this.#isFull = true;
      return;
    }
    this.objects.set(key, object);
    this.#options.onChange?.(key, object, before);
  }

  #remove(key: string): void {
    const before = this.objects.get(key);
    if (before === undefined) return;
    this.objects.delete(key);
    this.#options.onChange?.(key, null, before);
  }

  /** A list that is good does not yet say that the watch behind it will be: its failures still count. */
  #settle(): void {
    this.#clearError();
    this.#options.onSettled?.();
    this.#onSynced();
  }

  #recovered(): void {
    this.#clearError();
    this.#failures = 0;
  }

  #clearError(): void {
    if (this.error !== null) this.#log("info", "kube-follows-again", {});
    this.error = null;
  }

  async #recover(error: CardeaError): Promise<void> {
    const { isOptional, clock } = this.#options;
    if (error.code === "kube-absent" && isOptional === true && this.#isGone(clock)) {
      for (const key of this.objects.keys()) this.#remove(key);
      this.#resourceVersion = null;
      this.#settle();
      await this.#wait(ABSENT_RETRY_MS, clock);
      return;
    }
    // History that is gone, or a place in it that the server does not take: everything is told anew.
    const isListNeeded = error.code !== "unreachable" || this.#failures >= RESUMES_MAX;
    if (isListNeeded) this.#resourceVersion = null;
    if (error.code === "kube-gone" && this.#failures === 0) {
      this.#failures = 1;
      return;
    }
    if (this.error === null) {
      const { logLevel } = ERROR_TABLE[error.code];
      this.#log(logLevel === "info" ? "info" : "warn", "kube-not-followed", { code: error.code, error: error.message });
    }
    this.error = error;
    await this.#pause();
  }

  /**
   * Whoever removes a kind removes its objects first, and we are told. An API that does not know a kind whose objects we
   * hold is starting, or being changed, and policies that are dropped for that would open what they deny.
   */
  #isGone(clock: Clock): boolean {
    this.#absentSinceMs ??= clock.monotonicMs();
    return this.objects.size === 0 || clock.monotonicMs() - this.#absentSinceMs >= LIMITS.kubeAbsentMs;
  }

  /** Doubles with each failure in a row, and half of it is chance: not all clients come back at once. */
  async #pause(): Promise<void> {
    const { clock, random } = this.#options;
    this.#failures += 1;
    const longest = Math.min(RETRY_MS_MIN * 2 ** Math.min(this.#failures, 16), LIMITS.kubeRetryMsMax);
    await this.#wait((longest / 2) * (1 + random.float()), clock);
  }

  #wait(ms: number, clock: Clock): Promise<void> {
    const { signal } = this.#abort;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = clock.setTimer(ms, done);
      signal.addEventListener("abort", done);
    });
  }

  #log(level: "info" | "warn", event: string, fields: Readonly<Record<string, string>>): void {
    this.#options.logger.log(level, event, { kind: this.resource.kind, ...fields });
  }
}

/** Often half of an object, and nothing that the mesh reads. */
function withoutManagedFields(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}
