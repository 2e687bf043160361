import { CardeaError, type ErrorCode } from "../../src/core/errors.ts";
import {
  type KubeApi,
  type KubeEvent,
  type KubeObject,
  type KubeResource,
  type KubeSelection,
  keyOf,
  kubePath,
} from "../../src/core/kube.ts";
import type { JsonValue } from "../../src/core/json-value.ts";
import { applyJsonPatch } from "./json-patch.ts";

/** An API server in memory that fails when it is told to. Its resource versions count all changes, as etcd's do. */
export interface MemoryKube extends KubeApi {
  /** Puts an object there, as somebody else would. */
  put(resource: KubeResource, object: KubeObject): KubeObject;
  take(resource: KubeResource, name: string, namespace?: string): void;
  peek(resource: KubeResource, name: string, namespace?: string): KubeObject | undefined;
  /** What the coming calls of a verb end in, one each; `hang` never answers. */
  fail(verb: Verb, ...ends: (ErrorCode | "hang")[]): void;
  /** Breaks all open watches. */
  cutWatches(code?: ErrorCode): void;
  /** Forgets the history: a watch from before now is `kube-gone`. */
  compact(): void;
  /** From now on open watches bring nothing, as over a connection that is half dead. */
  deafen(): void;
  /** Tells open watches how far they are. */
  bookmark(): void;
  /** The kinds that it does not have. */
  readonly absent: Set<string>;
  /** `verb path`, as they came. */
  readonly calls: string[];
  readonly openWatches: number;
  /** What is no object, by its path. */
  readonly texts: Map<string, string>;
  /** Answers what is created of a kind that is not kept (TokenReview). */
  onCreate(kind: string, answer: (object: KubeObject) => KubeObject): void;
}

type Verb = "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";

interface Change {
  readonly version: number;
  readonly resource: KubeResource;
  readonly event: Extract<KubeEvent, { object: KubeObject }>;
}

export function createMemoryKube(): MemoryKube {
  const stores = new Map<string, Map<string, KubeObject>>();
  const history: Change[] = [];
  const failures = new Map<Verb, (ErrorCode | "hang")[]>();
  const watches = new Set<OpenWatch>();
  const answers = new Map<string, (object: KubeObject) => KubeObject>();
  const absent = new Set<string>();
  const calls: string[] = [];
  const texts = new Map([["/version", JSON.stringify({ gitVersion: "v1.36.0" })]]);
  let version = 1;
  let oldest = 0;
  let uids = 0;

  const storeOf = ({ kind }: KubeResource): Map<string, KubeObject> => {
    const store = stores.get(kind) ?? new Map<string, KubeObject>();
    stores.set(kind, store);
    return store;
  };

  function record(resource: KubeResource, type: "ADDED" | "MODIFIED" | "DELETED", object: KubeObject): KubeObject {
    version += 1;
    const stamped = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    if (type === "DELETED") storeOf(resource).delete(keyOf(object));
    else storeOf(resource).set(keyOf(object), stamped);
    const change: Change = { version, resource, event: { type, object: stamped } };
    history.push(change);
    for (const watch of watches) watch.offer(change);
    return stamped;
  }

  function put(resource: KubeResource, object: KubeObject): KubeObject {
    const before = storeOf(resource).get(keyOf(object));
    uids += before === undefined ? 1 : 0;
    const uid = object.metadata.uid ?? before?.metadata.uid ?? `uid-${uids}`;
    const metadata = { ...object.metadata, uid };
    return record(resource, before === undefined ? "ADDED" : "MODIFIED", { ...object, metadata });
  }

  async function enter(verb: Verb, resource: KubeResource, path: string): Promise<void> {
    calls.push(`${verb} ${path}`);
    await Promise.resolve();
    const end = failures.get(verb)?.shift();
    if (end === "hang") await new Promise(() => {});
    else if (end !== undefined) throw new CardeaError(end, `scripted: ${verb} ${path}`);
    if (absent.has(resource.kind)) throw new CardeaError("kube-absent", `${path}: no such kind`);
  }

  const kube: MemoryKube = {
    absent,
    calls,
    texts,
    put,
    take(resource, name, namespace) {
      const object = kube.peek(resource, name, namespace);
      if (object !== undefined) record(resource, "DELETED", object);
    },
    peek: (resource, name, namespace) => storeOf(resource).get(namespace === undefined ? name : `${namespace}/${name}`),
    fail(verb, ...ends) {
      failures.set(verb, [...(failures.get(verb) ?? []), ...ends]);
    },
    cutWatches(code = "unreachable") {
      for (const watch of watches) watch.fail(new CardeaError(code, "scripted: the watch broke"));
    },
    deafen() {
      for (const watch of watches) watch.deafen();
    },
    compact() {
      oldest = version;
    },
    bookmark() {
      for (const watch of watches) watch.bookmark(String(version));
    },
    onCreate: (kind, answer) => void answers.set(kind, answer),
    get openWatches() {
      return watches.size;
    },
    async get(resource, at) {
      await enter("get", resource, kubePath(resource, at));
      return kube.peek(resource, at.name, at.namespace) ?? null;
    },
    async text(path) {
      calls.push(`text ${path}`);
      await Promise.resolve();
      const found = texts.get(path);
      if (found === undefined) throw new CardeaError("kube-absent", path);
      return found;
    },
    async list(resource, selection = {}) {
      await enter("list", resource, kubePath(resource, selection));
      const items = [...storeOf(resource).values()].filter((object) => isSelected(object, selection));
      return { items, resourceVersion: String(version) };
    },
    async *watch(resource, options, signal) {
      await enter("watch", resource, kubePath(resource, options));
      const from = Number(options.resourceVersion);
      if (from < oldest) throw new CardeaError("kube-gone", "scripted: too old");
      const watch = new OpenWatch(resource, options, signal);
      for (const change of history) if (change.version > from) watch.offer(change);
      watches.add(watch);
      try {
        yield* watch.events();
      } finally {
        watches.delete(watch);
      }
    },
    async create(resource, object, at = {}) {
      const given = object as KubeObject;
      const namespace = at.namespace ?? given.metadata?.namespace;
      const path = kubePath(resource, namespace === undefined ? {} : { namespace });
      await enter("create", resource, path);
      const answer = answers.get(resource.kind);
      if (answer !== undefined) return answer(given);
      const metadata = { ...given.metadata, ...(namespace === undefined ? {} : { namespace }) };
      if (storeOf(resource).has(keyOf({ metadata }))) throw conflict(path);
      return put(resource, { ...given, metadata });
    },
    async update(resource, object) {
      const path = kubePath(resource, object.metadata);
      await enter("update", resource, path);
      const before = storeOf(resource).get(keyOf(object));
      if (before === undefined) throw new CardeaError("kube-absent", path);
      const expected = object.metadata.resourceVersion;
      if (expected !== undefined && expected !== before.metadata.resourceVersion) throw conflict(path);
      return put(resource, object);
    },
    async patch(resource, at, patch) {
      const path = kubePath(resource, at);
      await enter("patch", resource, path);
      const before = kube.peek(resource, at.name, at.namespace);
      if (before === undefined && patch.type !== "apply") throw new CardeaError("kube-absent", path);
      if (patch.type === "json") return put(resource, patched(before!, patch.body as readonly JsonChange[]));
      const expected = (patch.body as Partial<KubeObject>).metadata?.resourceVersion;
      if (expected !== undefined && expected !== before?.metadata.resourceVersion) throw conflict(path);
      const { name, namespace } = at;
      const base = before ?? { metadata: { name, ...(namespace === undefined ? {} : { namespace }) } };
      return put(resource, merged(base, patch.body) as KubeObject);
    },
    async delete(resource, at, options = {}) {
      const path = kubePath(resource, at);
      await enter("delete", resource, path);
      const before = kube.peek(resource, at.name, at.namespace);
      if (before === undefined) return false;
      if (options.uid !== undefined && options.uid !== before.metadata.uid) throw conflict(path);
      record(resource, "DELETED", before);
      return true;
    },
  };
  return kube;
}

function conflict(path: string): CardeaError {
  return new CardeaError("kube-conflict", `${path}: 409`);
}

interface JsonChange {
  readonly op: string;
  readonly path: string;
  readonly value?: JsonValue;
}

/** The one test that we know is of the version, as the first of all. */
function patched(object: KubeObject, changes: readonly JsonChange[]): KubeObject {
  const isStill = changes.every(({ op, value }) => op !== "test" || value === object.metadata.resourceVersion);
  if (!isStill) throw new CardeaError("kube-refused", "scripted: the object has changed");
  const others = changes.filter(({ op }) => op !== "test");
  return applyJsonPatch(JSON.parse(JSON.stringify(object)) as JsonValue, others) as unknown as KubeObject;
}

/** JSON Merge Patch, RFC 7396. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === "object" && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

function isSelected({ metadata }: KubeObject, { namespace, labelSelector, fieldSelector }: KubeSelection): boolean {
  if (namespace !== undefined && metadata.namespace !== namespace) return false;
  const [label, text] = labelSelector?.split("=") ?? [];
  if (label !== undefined && metadata.labels?.[label] !== text) return false;
  const name = /^metadata\.name=(.*)$/.exec(fieldSelector ?? "")?.[1];
  return name === undefined || metadata.name === name;
}

class OpenWatch {
  readonly #resource: KubeResource;
  readonly #selection: KubeSelection;
  readonly #signal: AbortSignal;
  readonly #queue: KubeEvent[] = [];
  #error: CardeaError | null = null;
  #wake: () => void = () => undefined;
  #isDeaf = false;

  constructor(resource: KubeResource, selection: KubeSelection, signal: AbortSignal) {
    this.#resource = resource;
    this.#selection = selection;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake());
  }

  offer({ resource, event }: Change): void {
    if (this.#isDeaf || resource.kind !== this.#resource.kind || !isSelected(event.object, this.#selection)) return;
    this.#queue.push(event);
    this.#wake();
  }

  deafen(): void {
    this.#isDeaf = true;
  }

  bookmark(resourceVersion: string): void {
    this.#queue.push({ type: "BOOKMARK", resourceVersion });
    this.#wake();
  }

  fail(error: CardeaError): void {
    this.#error = error;
    this.#wake();
  }

  async *events(): AsyncGenerator<KubeEvent> {
    yield { type: "OPENED" };
    while (!this.#signal.aborted) {
      const next = this.#queue.shift();
      if (next !== undefined) yield next;
      else if (this.#error !== null) throw this.#error;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
