import type { Fault, Located } from "../../core/located.ts";
import { NAMESPACE_WHEN_ABSENT, objectMetadata } from "../../core/object-metadata.ts";
import {
  addFault,
  ignored,
  mapOf,
  object,
  oneOf,
  optional,
  type Placed,
  placed,
  plainOf,
  required,
  type Schema,
  type Scope,
  string,
} from "../../core/schema.ts";
import { SECURITY_API_VERSIONS } from "../api-versions.ts";
import type { SourcePlace } from "../rule.ts";
import { SELECTOR } from "../selector.ts";
import { MUTUAL_TLS_MODES, type MutualTlsMode } from "./mutual-tls.ts";

/** A PeerAuthentication as it was read: what it says of mutual TLS, and null where it leaves that to what is above it. */
export interface PeerAuthentication {
  readonly kind: "PeerAuthentication";
  readonly name: string;
  readonly namespace: string;
  /** `namespace/name`. */
  readonly id: string;
  /** Empty: it speaks of its namespace, or of the mesh in the root namespace. */
  readonly matchLabels: ReadonlyMap<string, string>;
  readonly mode: MutualTlsMode | null;
  /** By container port; never without labels. Null: as `mode`. */
  readonly ports: ReadonlyMap<number, MutualTlsMode | null>;
  readonly source: SourcePlace;
  /** The document as plain JSON, fit to be sent and read again. */
  readonly raw: unknown;
}

/** A document → PeerAuthentication, or null with every fault added. */
export function parsePeerAuthentication(
  located: Located,
  source: { readonly file: string },
  faults: Fault[],
): PeerAuthentication | null {
  const scope: Scope = { file: source.file, field: "", faults };
  const document = DOCUMENT(located, scope);
  if (document === undefined) return null;
  const { spec, metadata } = document;
  const matchLabels = spec?.selector?.matchLabels ?? new Map<string, string>();
  const ports = spec?.portLevelMtls ?? null;
  if (ports !== null && matchLabels.size === 0) {
    // Istio's validation refuses it as well (ValidatePeerAuthentication).
    const message = "needs a selector with labels: a port of all workloads of a namespace or of the mesh has no meaning";
    addFault({ ...scope, field: ports.field }, ports.at, message);
    return null;
  }
  const namespace = metadata.namespace ?? NAMESPACE_WHEN_ABSENT;
  return {
    kind: "PeerAuthentication",
    name: metadata.name,
    namespace,
    id: `${namespace}/${metadata.name}`,
    matchLabels,
    mode: spec?.mtls ?? null,
    ports: ports?.value ?? new Map(),
    source: { file: source.file, line: located.at?.line ?? null },
    raw: plainOf(located),
  };
}

/** `mtls`, or one port's: the mode; null is UNSET, or a block without it. */
const MUTUAL_TLS: Schema<MutualTlsMode | null> = (value, scope) => {
  const block = object({ mode: optional(oneOf("UNSET", ...MUTUAL_TLS_MODES)) })(value, scope);
  if (block === undefined) return undefined;
  return block.mode === null || block.mode === "UNSET" ? null : block.mode;
};

const PORT_LEVEL: Schema<Placed<ReadonlyMap<number, MutualTlsMode | null>>> = placed((value, scope) => {
  const byText = mapOf(MUTUAL_TLS)(value, scope);
  if (byText === undefined) return undefined;
  if (byText.size === 0) return addFault(scope, value.at, "must not be empty: leave it out, or name a port");
  const faultsBefore = scope.faults.length;
  const ports = new Map<number, MutualTlsMode | null>();
  for (const [text, mode] of byText) {
    const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
    if (port >= 1 && port <= 65_535) ports.set(port, mode);
    else addFault(scope, value.at, `expected a container port from 1 to 65535, found ${JSON.stringify(text)}`);
  }
  return scope.faults.length === faultsBefore ? ports : undefined;
});

const METADATA = objectMetadata(mapOf(string({ allowEmpty: true })));

const DOCUMENT = object({
  apiVersion: required(oneOf(...SECURITY_API_VERSIONS)),
  kind: required(oneOf("PeerAuthentication")),
  metadata: required(METADATA),
  spec: optional(
    object({
      selector: optional(SELECTOR),
      mtls: optional(MUTUAL_TLS),
      portLevelMtls: optional(PORT_LEVEL),
    }),
  ),
  status: ignored(),
});
