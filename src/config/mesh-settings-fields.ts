import { isAbsolute } from "node:path";
import { LIMITS } from "../core/limits.ts";
import { parseCidr } from "../core/cidr.ts";
import { type FetchRules, STRICT_FETCH_RULES } from "../core/guarded-fetch.ts";
import {
  addFault,
  boolean,
  type Field,
  integer,
  listOf,
  number,
  object,
  oneOf,
  parsed,
  required,
  type Schema,
  string,
  withDefault,
} from "../core/schema.ts";
import { parseTrustDomain } from "../core/spiffe-id.ts";
import { type OtlpEndpoint, parseOtlpUrl } from "../core/otlp-endpoint.ts";
import { TRACE_LIMITS } from "../core/trace-limits.ts";
import { EXTENSION_PROVIDERS } from "../policy/extension-provider.ts";
import { DEFAULT_MESH_SETTINGS } from "../policy/mesh-settings.ts";

const TRUST_DOMAIN = parsed(string(), parseTrustDomain);

/** How many proxies write X-Forwarded-For before the mesh; more than a few is a mistake. */
export const TRUSTED_PROXIES = integer({ min: 0, max: LIMITS.trustedProxiesMax });

/** MeshSettings in files that programs write; people write them in the Mesh document (mesh.ts). */
export const MESH_SETTINGS = object({
  trustDomain: withDefault(TRUST_DOMAIN, DEFAULT_MESH_SETTINGS.trustDomain),
  trustDomainAliases: withDefault(listOf(TRUST_DOMAIN), DEFAULT_MESH_SETTINGS.trustDomainAliases),
  rootNamespace: withDefault(string(), DEFAULT_MESH_SETTINGS.rootNamespace),
  enforcement: withDefault(oneOf("ENFORCE", "AUDIT"), DEFAULT_MESH_SETTINGS.enforcement),
  defaultAction: withDefault(oneOf("DENY", "ALLOW"), DEFAULT_MESH_SETTINGS.defaultAction),
  pathNormalization: withDefault(
    oneOf("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"),
    DEFAULT_MESH_SETTINGS.pathNormalization,
  ),
  numTrustedProxies: withDefault(TRUSTED_PROXIES, DEFAULT_MESH_SETTINGS.numTrustedProxies),
  extensionProviders: withDefault(EXTENSION_PROVIDERS, DEFAULT_MESH_SETTINGS.extensionProviders),
});

const CIDR = parsed(string(), (text) => {
  parseCidr(text);
  return text;
});

/** A null may be written out, as programs do. */
const CA_FILE: Schema<string | null> = (value, scope) => {
  if (value.kind === "scalar" && value.value === null) return null;
  const path = string()(value, scope);
  return path === undefined || isAbsolute(path) ? path : addFault(scope, value.at, "expected an absolute path");
};

/** `jwks`: from where keys of token issuers may be fetched. */
export const FETCH_RULES: Field<FetchRules> = withDefault(
  object({
    allowHttp: withDefault(boolean(), false),
    allowAddresses: withDefault(listOf(CIDR), []),
    caFile: withDefault(CA_FILE, null),
  }),
  STRICT_FETCH_RULES,
);

/** How a mesh traces: spans of so many requests go to a collector outside. */
export interface TracingSettings {
  readonly endpoint: OtlpEndpoint;
  /** Of traces that begin in the mesh. */
  readonly samplingPercentage: number;
  /** Requests in a second of which one sidecar reports spans; denials and errors have as many beside these. */
  readonly requestsPerSecond: number;
}

/** As Istio's. */
const DEFAULT_SAMPLING_PERCENTAGE = 1;
const DEFAULT_TRACED_PER_SECOND = 100;

/** In files that programs write. */
export const OTLP_ENDPOINT: Schema<OtlpEndpoint> = object({
  url: required(string()),
  protocol: required(oneOf("grpc", "http/protobuf")),
});

/** `tracing` of the mesh file. */
export const TRACING: Schema<TracingSettings> = parsed(
  object({
    endpoint: required(string()),
    protocol: withDefault(oneOf("grpc", "http/protobuf"), "grpc"),
    samplingPercentage: withDefault(number({ min: 0, max: 100 }), DEFAULT_SAMPLING_PERCENTAGE),
    requestsPerSecond: withDefault(
      integer({ min: 1, max: TRACE_LIMITS.tracedRequestsPerSecond }),
      DEFAULT_TRACED_PER_SECOND,
    ),
  }),
  ({ endpoint, protocol, ...settings }) => ({
    endpoint: { url: parseOtlpUrl(endpoint, protocol), protocol },
    ...settings,
  }),
);
