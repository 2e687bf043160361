import type { MessageTypeDefinition } from "@grpc/proto-loader";
import { type AnyMessage, packAny } from "../../api/any.ts";
import { versionOf } from "../../api/resource-version.ts";

/** One resource as it is sent: its version is the hash of its bytes, so equal content has an equal version anywhere. */
export interface Resource {
  readonly name: string;
  readonly version: string;
  readonly body: AnyMessage;
}

/** The resources of one type that a caller may see. */
export interface TypeView {
  /** Of the whole set, for people and for acknowledgements: the policy revision, or a count of registry changes. */
  readonly version: string;
  readonly resources: ReadonlyMap<string, Resource>;
  /** The names of what changed after a version, where that is known. Null: compare all. */
  changedSince?(version: string): ReadonlySet<string> | null;
}

/** All that a caller may see, by type URL; a type that is not served is absent. */
export type ResourceView = ReadonlyMap<string, TypeView>;

/** Encodes a message once for all receivers. */
export function createResource<Input>(
  name: string,
  type: MessageTypeDefinition<Input, unknown>,
  typeUrl: string,
  message: Input,
): Resource {
  const body = packAny(type, typeUrl, message);
  return { name, version: versionOf(body.value), body };
}
