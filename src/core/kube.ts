import { CardeaError } from "./errors.ts";
import type { Latest } from "./latest.ts";

/** An object of the Kubernetes API as plain JSON; only its metadata is sure, the rest is whoever reads it to check. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: KubeMetadata;
  readonly [field: string]: unknown;
}

/** The part of ObjectMeta that the mesh looks at. */
export interface KubeMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly [field: string]: unknown;
}

/** A kind as the paths of the API name it. */
export interface KubeResource {
  /** Empty: the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
}

/** Which objects of a kind. Left out: of all namespaces, with all labels. */
export interface KubeSelection {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface KubeName {
  /** Left out for kinds of the cluster. */
  readonly namespace?: string;
  readonly name: string;
  /** e.g. `status`. */
  readonly subresource?: string;
}

export interface KubeList {
  readonly items: readonly KubeObject[];
  /** Where a watch goes on from. */
  readonly resourceVersion: string;
}

/** Kubernetes API concepts, "Efficient detection of changes". */
export type KubeEvent =
  /** The server has taken the watch: first of all, where it is known. */
  | { readonly type: "OPENED" }
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: KubeObject }
  /** Nothing has changed; the watch has come as far as this. */
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

export interface KubeWatchOptions extends KubeSelection {
  readonly resourceVersion: string;
}

export type KubePatch =
  | { readonly type: "merge"; readonly body: object }
  | { readonly type: "json"; readonly body: readonly object[] }
  /** Server-side apply: our fields become what `body` says; with `force` also those that others have claimed. */
  | { readonly type: "apply"; readonly body: object; readonly fieldManager: string; readonly force?: boolean };

export interface KubeDeleteOptions {
  /** Only if it is still this very object, in this very state. */
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/**
 * The Kubernetes API. io/kube-client.ts has the real one, tests a scripted one. Errors of all calls: `kube-forbidden`
 * (401 and 403), `kube-conflict` (409: someone else was first), `kube-gone` (410: list anew), `kube-absent` (404 of
 * anything but `get`), `kube-refused` (any other 4xx), `unreachable` (no answer in time, 5xx, throttled for too long,
 * an answer that is no JSON or too large). Throttling (429) is waited out within bounds by the port itself.
 */
export interface KubeApi {
  /**
   * By how much our wall clock is ahead of the server's at least, negative when it is behind, as of the last answer; zero
   * while the answer's way explains all of it. Left out: nobody has looked.
   */
  readonly clockAheadMs?: Latest<number>;
  /** Null: there is none. */
  get(resource: KubeResource, at: KubeName): Promise<KubeObject | null>;
  /** The text at a path that is no object: `/version`, `/apis`, what a pod answers by way of the server. */
  text(path: string): Promise<string>;
  /** All of them, page by page. */
  list(resource: KubeResource, selection?: KubeSelection, signal?: AbortSignal): Promise<KubeList>;
  /** Ends when the server ends it, which it does every few minutes; throws when it breaks. */
  watch(resource: KubeResource, options: KubeWatchOptions, signal: AbortSignal): AsyncIterable<KubeEvent>;
  /** `at` names a subresource (`pods/x/eviction`, `serviceaccounts/x/token`) where one is created. */
  create(resource: KubeResource, object: KubeObject | object, at?: Partial<KubeName>): Promise<KubeObject>;
  /** Replaces it, if its resourceVersion is still the one in the object. */
  update(resource: KubeResource, object: KubeObject, subresource?: string): Promise<KubeObject>;
  patch(resource: KubeResource, at: KubeName, patch: KubePatch): Promise<KubeObject>;
  /** False: there was none. */
  delete(resource: KubeResource, at: KubeName, options?: KubeDeleteOptions): Promise<boolean>;
}

/** `namespace/name`, or the name alone. */
export function keyOf({ metadata }: KubeObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** The path of a kind, an object or a subresource. */
export function kubePath(resource: KubeResource, at: Partial<KubeName> = {}): string {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = resource.isNamespaced && at.namespace !== undefined ? `/namespaces/${segment(at.namespace)}` : "";
  const name = at.name === undefined ? "" : `/${segment(at.name)}`;
  const subresource = at.subresource === undefined ? "" : `/${at.subresource}`;
  return `${root}${scope}/${resource.plural}${name}${subresource}`;
}

/** `group/version`, as objects have it. */
export function apiVersionOf({ group, version }: KubeResource): string {
  return group === "" ? version : `${group}/${version}`;
}

/** Names come from objects of others: none may step out of its place in the path. */
function segment(name: string): string {
  if (name === "" || name === "." || name === "..")
    throw new CardeaError("kube-refused", `${JSON.stringify(name)} is no name`);
  return encodeURIComponent(name);
}

/** Something that is written out, or a file that is read again as it changes. */
export type TextSource = { readonly text: string } | { readonly file: string };

/** Where the API server is, and how we prove who we are. */
export interface KubeConnection {
  /** `https://host:port`, perhaps with a path. */
  readonly server: string;
  /** Roots that sign its certificate, PEM. Null: those of the platform. */
  readonly ca: TextSource | null;
  readonly credential: KubeCredential;
}

export type KubeCredential =
  | { readonly kind: "token"; readonly token: TextSource }
  | { readonly kind: "certificate"; readonly cert: TextSource; readonly key: TextSource };
