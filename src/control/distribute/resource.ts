import type { MessageTypeDefinition } from "@grpc/proto-loader";
import { type AnyMessage, packAny } from "../../api/any.ts";
import { versionOf } from "../../api/resource-version.ts";
import type { About } from "./about.ts";

/** One resource as it is sent: its version is the hash of its bytes, so equal content has an equal version anywhere. */
export interface Resource {
  readonly name: string;
  readonly version: string;
  readonly body: AnyMessage;
  /** Null where nothing depends on it. */
  readonly about: About | null;
}

/** The resources of one type that a caller may see. */
export interface TypeView {
  /** Of the whole set, for people and for acknowledgements: the policy revision, or a count of registry changes. */
  readonly version: string;
  readonly resources: ResourceTable;
  /**
   * The names of what differs, or may differ, from an earlier view of the same caller. Null: that is too long ago to
   * know. Left out: compare all.
   */
  changedSince?(before: TypeView): Names | null;
}

/** By name. */
export interface ResourceTable {
  get(name: string): Resource | undefined;
  has(name: string): boolean;
  keys(): Iterable<string>;
  values(): Iterable<Resource>;
}

/** Sets and maps alike. */
export interface Names {
  keys(): Iterable<string>;
}

/** All that a caller may see, by type URL; a type that is not served is absent. */
export type ResourceView = ReadonlyMap<string, TypeView>;

/** Encodes a message once for all receivers. */
// oxlint-disable-next-line eslint/max-params
export function createResource<Input>(
  name: string,
  type: MessageTypeDefinition<Input, unknown>,
  typeUrl: string,
  message: Input,
  about: About | null = null,
): Resource {
  const body = packAny(type, typeUrl, message);
  return { name, version: versionOf(body.value), body, about };
}
