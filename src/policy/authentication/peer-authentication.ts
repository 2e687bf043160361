import {
  addFault,
  ignored,
  lookUp,
  mapOf,
  object,
  oneOf,
  optional,
  required,
  type Schema,
  type ValueOf,
  withDefault,
} from "../../core/schema.ts";
import { SECURITY_API_VERSIONS, SELECTOR } from "../document-parts.ts";
import { AUTHENTICATION_METADATA } from "./metadata.ts";
import { MUTUAL_TLS_MODES, type MutualTlsMode } from "./mutual-tls.ts";

/** What is said of mutual TLS at the workloads that it selects, and null where that is left to what is above it. */
export interface PeerAuthentication {
  readonly kind: "PeerAuthentication";
  readonly mode: MutualTlsMode | null;
  /** By container port; never without labels in the selector. Null: as `mode`. */
  readonly ports: ReadonlyMap<number, MutualTlsMode | null>;
}

/** `mtls`, or one port's: the mode; null is UNSET, or a block without it. */
const MUTUAL_TLS: Schema<MutualTlsMode | null> = (value, scope) => {
  const block = object({ mode: optional(oneOf("UNSET", ...MUTUAL_TLS_MODES)) })(value, scope);
  if (block === undefined) return undefined;
  return block.mode === null || block.mode === "UNSET" ? null : block.mode;
};

const PORTS: Schema<PeerAuthentication["ports"]> = (value, scope) => {
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
};

const FIELDS = object({
  selector: optional(SELECTOR),
  mtls: optional(MUTUAL_TLS),
  portLevelMtls: optional(PORTS),
});

type Spec = ValueOf<typeof FIELDS>;

/** Istio's validation refuses ports without labels as well (ValidatePeerAuthentication). */
const SPEC: Schema<Spec> = (value, scope) => {
  const spec = FIELDS(value, scope);
  if (spec === undefined || spec.portLevelMtls === null) return spec;
  if ((spec.selector?.matchLabels?.size ?? 0) > 0) return spec;
  const at = lookUp(value, "portLevelMtls")?.at ?? value.at;
  const message = "needs a selector with labels: a port of all workloads of a namespace or of the mesh has no meaning";
  return addFault(scope, at, message, "portLevelMtls");
};

const NOTHING: Spec = { selector: null, mtls: null, portLevelMtls: null };

/** security.istio.io/v1 PeerAuthentication. */
export const PEER_AUTHENTICATION = object({
  apiVersion: required(oneOf(...SECURITY_API_VERSIONS)),
  kind: required(oneOf("PeerAuthentication")),
  metadata: required(AUTHENTICATION_METADATA),
  spec: withDefault(SPEC, NOTHING),
  status: ignored(),
});

export function toPeerAuthentication({ spec }: ValueOf<typeof PEER_AUTHENTICATION>): PeerAuthentication {
  return { kind: "PeerAuthentication", mode: spec.mtls, ports: spec.portLevelMtls ?? new Map() };
}
