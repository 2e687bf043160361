import { CardeaError } from "../core/errors.ts";
import {
  type KubeApi,
  type KubeConnection,
  type KubeEvent,
  type KubeList,
  type KubeName,
  type KubeObject,
  type KubePatch,
  type KubeResource,
  type KubeSelection,
  type KubeWatchOptions,
  apiVersionOf,
  kubePath,
} from "../core/kube.ts";
import { createLatest } from "../core/latest.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Random } from "../core/ports.ts";
import { KubeCredentials } from "./kube-credentials.ts";
import { errorOfStatus, isKubeObject, parseJson, unreachable } from "./kube-errors.ts";
import { readJsonLines } from "./kube-lines.ts";

export interface KubeClientOptions {
  readonly connection: KubeConnection;
  readonly clock: Clock;
  readonly random: Random;
  /** What the API server's logs call us. */
  readonly userAgent: string;
  /** Longest wait for an answer. Left out: `kubeCallMs`. */
  readonly callMs?: number;
  /** A watch that brings nothing for so long counts as dead. Left out: `kubeWatchSilenceMs`. */
  readonly watchSilenceMs?: number;
}

/** A client that can be closed: open watches break. */
export interface KubeClient extends KubeApi {
  close(): Promise<void>;
}

/** See `KubeApi`. Nothing is asked before the first call. */
export function openKubeClient(options: KubeClientOptions): KubeClient {
  return new UndiciKubeClient(options);
}

interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
}

const PATCH_TYPES = {
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  apply: "application/apply-patch+yaml",
} as const satisfies Record<KubePatch["type"], string>;

class UndiciKubeClient implements KubeClient {
  readonly clockAheadMs = createLatest(0);
  readonly #options: KubeClientOptions;
  readonly #credentials: KubeCredentials;
  readonly #base: URL;

  constructor(options: KubeClientOptions) {
    this.#options = options;
    const { connection, clock, watchSilenceMs = LIMITS.kubeWatchSilenceMs } = options;
    this.#credentials = new KubeCredentials({ connection, clock, watchSilenceMs });
    this.#base = new URL(options.connection.server);
  }

  async get(resource: KubeResource, at: KubeName): Promise<KubeObject | null> {
    const answer = await this.#ask({ method: "GET", path: kubePath(resource, at) });
    return answer.status === 404 ? null : this.#object(answer, at.name);
  }

  async text(path: string): Promise<string> {
    const answer = await this.#ask({ method: "GET", path });
    if (answer.status >= 200 && answer.status < 300) return answer.text;
    throw errorOfStatus(answer.status, answer.text, path);
  }

  async list(resource: KubeResource, selection: KubeSelection = {}, signal?: AbortSignal): Promise<KubeList> {
    const items: KubeObject[] = [];
    let resourceVersion = "";
    let next: string | undefined;
    do {
      const query = queryOf(selection, { limit: String(PAGE_SIZE), ...(next === undefined ? {} : { continue: next }) });
      const path = `${kubePath(resource, pathOf(selection))}?${query}`;
      const page = readPage(this.#good(await this.#ask({ method: "GET", path, signal }), path), path);
      for (const item of page.items) items.push({ ...item, apiVersion: apiVersionOf(resource), kind: resource.kind });
      if (items.length > LIMITS.kubeObjectsMax)
        throw unreachable(`${path} has more than ${LIMITS.kubeObjectsMax} objects`);
      resourceVersion = page.resourceVersion;
      next = page.next;
    } while (next !== undefined);
    return { items, resourceVersion };
  }

  async *watch(resource: KubeResource, options: KubeWatchOptions, signal: AbortSignal): AsyncGenerator<KubeEvent> {
    const { random } = this.#options;
    // Not all of them end, and come again, at the same time.
    const forSec = Math.round((LIMITS.kubeWatchMs / 1_000) * (1 + random.float()));
    const query = queryOf(options, {
      watch: "1",
      allowWatchBookmarks: "true",
      resourceVersion: options.resourceVersion,
      timeoutSeconds: String(forSec),
    });
    const path = `${kubePath(resource, pathOf(options))}?${query}`;
    const answer = await this.#open(path, signal);
    yield { type: "OPENED" };
    try {
      for await (const value of readJsonLines(answer, path)) {
        const event = readEvent(value, resource, path);
        if (event !== null) yield event;
      }
    } catch (thrown) {
      throw failureOf(thrown, `watch ${path}`);
    }
  }

  async create(resource: KubeResource, object: object, at: Partial<KubeName> = {}): Promise<KubeObject> {
    const namespace = at.namespace ?? namespaceOf(object);
    const path = kubePath(resource, { ...at, ...(namespace === undefined ? {} : { namespace }) });
    const body = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
    return this.#object(await this.#ask({ method: "POST", path, body }), path);
  }

  async update(resource: KubeResource, object: KubeObject, subresource?: string): Promise<KubeObject> {
    const { name, namespace } = object.metadata;
    const path = kubePath(resource, nameOf(name, namespace, subresource));
    const body = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
    return this.#object(await this.#ask({ method: "PUT", path, body }), path);
  }

  async patch(resource: KubeResource, at: KubeName, patch: KubePatch): Promise<KubeObject> {
    const query = patch.type === "apply" ? `?${applyQuery(patch)}` : "";
    const path = `${kubePath(resource, at)}${query}`;
    const call = { method: "PATCH", path, body: patch.body, contentType: PATCH_TYPES[patch.type] } as const;
    return this.#object(await this.#ask(call), path);
  }

  async delete(resource: KubeResource, at: KubeName, preconditions: object = {}): Promise<boolean> {
    const path = kubePath(resource, at);
    const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions };
    const answer = await this.#ask({ method: "DELETE", path, body });
    if (answer.status === 404) return false;
    this.#good(answer, path);
    return true;
  }

  async close(): Promise<void> {
    await this.#credentials.close();
  }

  #object(answer: Answer, path: string): KubeObject {
    const value = this.#good(answer, path);
    if (!isKubeObject(value)) throw unreachable(`${path}: the answer is no object of Kubernetes`);
    return value;
  }

  #good(answer: Answer, path: string): unknown {
    if (answer.status >= 200 && answer.status < 300) return parseJson(answer.text, path);
    throw errorOfStatus(answer.status, answer.text, path);
  }

  /** A throttled request was not processed: it is sent again when the server says, a few times. */
  async #ask(call: Call): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#askOnce(call);
      if (answer.status === 401 && attempt === 1 && (await this.#credentials.refresh())) continue;
      if (answer.status !== 429 || attempt >= THROTTLED_TRIES) return answer;
      await this.#wait(retryAfterMs(answer.retryAfter, this.#options.random), call.signal);
    }
  }

  async #askOnce({ method, path, body, contentType, signal }: Call): Promise<Answer> {
    const timeout = AbortSignal.timeout(this.#options.callMs ?? LIMITS.kubeCallMs);
    try {
      const { agent, headers } = await this.#credentials.current();
      const sentMs = this.#options.clock.wallMs();
      const answer = await agent.request({
        origin: this.#base.origin,
        path: this.#path(path),
        method,
        headers: this.#headers(headers, body === undefined ? null : (contentType ?? "application/json")),
        body: body === undefined ? null : JSON.stringify(body),
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
      });
      this.#compareClocks(sentMs, headerText(answer.headers["date"]));
      const text = await answer.body.text();
      return { status: answer.statusCode, text, retryAfter: headerText(answer.headers["retry-after"]) };
    } catch (thrown) {
      throw failureOf(thrown, `${method} ${path}`);
    }
  }

  async #open(path: string, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    try {
      const { watchAgent, headers } = await this.#credentials.current();
      const answer = await watchAgent.request({
        origin: this.#base.origin,
        path: this.#path(path),
        method: "GET",
        headers: this.#headers(headers, null),
        signal,
      });
      if (answer.statusCode === 200) return answer.body;
      const text = await answer.body.text();
      if (answer.statusCode === 401) await this.#credentials.refresh();
      throw errorOfStatus(answer.statusCode, text, path);
    } catch (thrown) {
      throw failureOf(thrown, `watch ${path}`);
    }
  }

  /** RFC 9110 section 6.6.1: when the answer was made, in whole seconds. It was made between our question and now. */
  #compareClocks(sentMs: number, date: string | undefined): void {
    const serverMs = Date.parse(date ?? "");
    if (Number.isNaN(serverMs)) return;
    const receivedMs = this.#options.clock.wallMs();
    const aheadMs = Math.max(0, sentMs - (serverMs + 1_000)) + Math.min(0, receivedMs - serverMs);
    if (aheadMs !== this.clockAheadMs.get()) this.clockAheadMs.set(aheadMs);
  }

  #path(path: string): string {
    return this.#base.pathname === "/" ? path : `${this.#base.pathname}${path}`;
  }

  #headers(credential: Readonly<Record<string, string>>, contentType: string | null): Record<string, string> {
    const type = contentType === null ? {} : { "content-type": contentType };
    return { accept: "application/json", "user-agent": this.#options.userAgent, ...credential, ...type };
  }

  #wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.setTimer(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      const onAbort = (): void => {
        timer.cancel();
        reject(unreachable("called off"));
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
}

const PAGE_SIZE = 500;
const THROTTLED_TRIES = 4;
const RETRY_AFTER_MS_MAX = 10_000;

function retryAfterMs(text: string | undefined, random: Random): number {
  const seconds = /^\d{1,4}$/.test(text ?? "") ? Number(text) : 1;
  return Math.min(seconds * 1_000, RETRY_AFTER_MS_MAX) * (1 + random.float() / 2);
}

function headerText(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" ? value : value?.[0];
}

function namespaceOf(object: object): string | undefined {
  return (object as Partial<KubeObject>).metadata?.namespace;
}

function nameOf(name: string, namespace: string | undefined, subresource: string | undefined): KubeName {
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

function pathOf({ namespace }: KubeSelection): Partial<KubeName> {
  return namespace === undefined ? {} : { namespace };
}

function queryOf({ labelSelector, fieldSelector }: KubeSelection, more: Record<string, string>): string {
  return new URLSearchParams({
    ...more,
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  }).toString();
}

function applyQuery({ fieldManager, force }: Extract<KubePatch, { type: "apply" }>): string {
  return new URLSearchParams({ fieldManager, ...(force === true ? { force: "true" } : {}) }).toString();
}

interface Page {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
  readonly next: string | undefined;
}

function readPage(value: unknown, path: string): Page {
  const { items, metadata } = (value ?? {}) as { items?: unknown; metadata?: Record<string, unknown> };
  const list: unknown = items ?? [];
  const resourceVersion = metadata?.["resourceVersion"];
  if (!Array.isArray(list) || !list.every(isKubeObject) || typeof resourceVersion !== "string")
    throw unreachable(`${path}: the answer is no list of Kubernetes`);
  const next = metadata?.["continue"];
  return { items: list, resourceVersion, next: typeof next === "string" && next !== "" ? next : undefined };
}

function readEvent(value: unknown, resource: KubeResource, path: string): KubeEvent | null {
  const { type, object } = (value ?? {}) as { type?: unknown; object?: unknown };
  if (type === "ERROR") {
    const { code, message } = (object ?? {}) as { code?: unknown; message?: unknown };
    throw errorOfStatus(typeof code === "number" ? code : 500, JSON.stringify({ message }), path);
  }
  if (type === "BOOKMARK") {
    const version = (object as Partial<KubeObject> | undefined)?.metadata?.resourceVersion;
    return typeof version === "string" ? { type, resourceVersion: version } : null;
  }
  if ((type === "ADDED" || type === "MODIFIED" || type === "DELETED") && isKubeObject(object))
    return { type, object: { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind } };
  throw unreachable(`${path}: a watch event that is none: ${JSON.stringify(value).slice(0, 200)}`);
}

function failureOf(thrown: unknown, what: string): CardeaError {
  if (thrown instanceof CardeaError) return thrown;
  const error = thrown as Error;
  const why = error.name === "TimeoutError" ? `no answer within ${LIMITS.kubeCallMs} ms` : error.message;
  return unreachable(`${what}: ${why}`, thrown);
}
