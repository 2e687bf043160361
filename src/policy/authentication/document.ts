import type { Fault, Located } from "../../core/located.ts";
import { NAMESPACE_WHEN_ABSENT } from "../../core/object-metadata.ts";
import { plainOf, type Schema, type Scope } from "../../core/schema.ts";
import type { SourcePlace } from "../rule.ts";
import { TELEMETRY, type Telemetry, toTelemetry } from "../telemetry.ts";
import type { AuthenticationKind } from "./kinds.ts";
import { PEER_AUTHENTICATION, type PeerAuthentication, toPeerAuthentication } from "./peer-authentication.ts";
import {
  REQUEST_AUTHENTICATION,
  type RequestAuthentication,
  toRequestAuthentication,
} from "./request-authentication.ts";

/**
 * A document that says how a workload is to learn of its callers, as it was read: checked, in one form, and knowing where
 * it was written. Such documents select workloads as policies do, and travel with them.
 */
export type AuthenticationDocument =
  | DocumentOf<RequestAuthentication>
  | DocumentOf<PeerAuthentication>
  | DocumentOf<Telemetry>;

/** Any kind of document, with what all of them have. */
export type DocumentOf<Kind> = Kind & {
  readonly name: string;
  readonly namespace: string;
  /** `namespace/name`. */
  readonly id: string;
  /** Labels that a workload must have; empty: every workload in the document's reach. */
  readonly matchLabels: ReadonlyMap<string, string>;
  readonly source: SourcePlace;
  /** The document as plain JSON, fit to be sent and read again. */
  readonly raw: unknown;
};

/** A document of the kind → what it says, or null with every fault added. */
export function parseAuthenticationDocument(
  kind: AuthenticationKind,
  located: Located,
  source: { readonly file: string },
  faults: Fault[],
): AuthenticationDocument | null {
  const scope: Scope = { file: source.file, field: "", faults };
  switch (kind) {
    case "RequestAuthentication":
      return read(located, scope, REQUEST_AUTHENTICATION, toRequestAuthentication);
    case "PeerAuthentication":
      return read(located, scope, PEER_AUTHENTICATION, toPeerAuthentication);
    case "Telemetry":
      return read(located, scope, TELEMETRY, toTelemetry);
  }
}

/** The documents of one kind. */
export function ofKind<Kind extends AuthenticationKind>(
  documents: readonly AuthenticationDocument[],
  kind: Kind,
): readonly Extract<AuthenticationDocument, { readonly kind: Kind }>[] {
  return documents.filter(
    (each): each is Extract<AuthenticationDocument, { readonly kind: Kind }> => each.kind === kind,
  );
}

interface Fields {
  readonly metadata: { readonly name: string; readonly namespace: string | null };
  readonly spec: { readonly selector: { readonly matchLabels: ReadonlyMap<string, string> | null } | null };
}

function read<F extends Fields, Kind>(
  located: Located,
  scope: Scope,
  schema: Schema<F>,
  toKind: (fields: F) => Kind,
): DocumentOf<Kind> | null {
  const fields = schema(located, scope);
  if (fields === undefined) return null;
  const { name } = fields.metadata;
  const namespace = fields.metadata.namespace ?? NAMESPACE_WHEN_ABSENT;
  return {
    ...toKind(fields),
    name,
    namespace,
    id: `${namespace}/${name}`,
    matchLabels: fields.spec.selector?.matchLabels ?? new Map(),
    source: { file: scope.file, line: located.at?.line ?? null },
    raw: plainOf(located),
  };
}
