import {
  addFault,
  boolean,
  ignored,
  listOf,
  mapOf,
  number,
  object,
  oneOf,
  optional,
  parsed,
  refused,
  required,
  type Schema,
  string,
  type ValueOf,
} from "../core/schema.ts";
import { TRACE_LIMITS } from "../core/trace-limits.ts";
import { AUTHENTICATION_METADATA } from "./authentication/metadata.ts";
import { NO_TARGETS, SELECTOR } from "./document-parts.ts";

/** What is to be recorded at the workloads that it selects. Access logging and tracing are read of it. */
export interface Telemetry {
  readonly kind: "Telemetry";
  /** In the order in which they stand: a later one counts above an earlier. */
  readonly accessLogging: readonly AccessLogging[];
  /** Likewise. */
  readonly tracing: readonly TracingItem[];
}

/** Whose traces: as the caller, as the called, or both. */
export type TelemetryMode = "CLIENT" | "SERVER" | "CLIENT_AND_SERVER";

/** What is null, is as what is above says. */
export interface TracingItem {
  readonly mode: TelemetryMode;
  /** Of traces that nobody has decided about. */
  readonly samplingPercentage: number | null;
  readonly isReportingDisabled: boolean | null;
  /** Put on each span, by name. */
  readonly tags: ReadonlyMap<string, string> | null;
}

export interface AccessLogging {
  /** Whose records: as the caller, as the called, or both. */
  readonly mode: TelemetryMode;
  /** Null: as what is above says. */
  readonly isDisabled: boolean | null;
}

/** The versions of telemetry.istio.io that are read; they mean the same. */
export const TELEMETRY_API_VERSIONS = ["telemetry.istio.io/v1", "telemetry.istio.io/v1alpha1"] as const;

/** Istio's name for the log that a proxy writes itself; ours is the flow log. Others would have to be sent somewhere. */
const OWN_LOG = "envoy";

const PROVIDER = object({
  name: required(
    parsed(string(), (name) => {
      if (name === OWN_LOG) return name;
      throw new Error(
        `${JSON.stringify(name)} is not known here: \`${OWN_LOG}\` is the flow log, and there is no other`,
      );
    }),
  ),
});

const MATCH = optional(object({ mode: optional(oneOf("CLIENT", "SERVER", "CLIENT_AND_SERVER")) }));

const ITEM = object({
  match: MATCH,
  providers: optional(listOf(PROVIDER, { minCount: 1 })),
  disabled: optional(boolean()),
  filter: refused("is not supported: what is recorded does not depend on the request; select by `match.mode`"),
});

const TAG_NAME_MAX = 100;
const TAG = object({
  literal: required(object({ value: required(string()) })),
  environment: refused("is not supported: a tag is a `literal`"),
  header: refused("is not supported: headers are not recorded; a tag is a `literal`"),
  formatter: refused("is not supported: a tag is a `literal`"),
});

const TAGS: Schema<ReadonlyMap<string, ValueOf<typeof TAG>>> = parsed(mapOf(TAG), (tags) => {
  if (tags.size > TRACE_LIMITS.traceTagsMax) throw new Error(`has more than ${TRACE_LIMITS.traceTagsMax} tags`);
  const long = [...tags.keys()].find((name) => name === "" || name.length > TAG_NAME_MAX);
  if (long === undefined) return tags;
  throw new Error(`a tag's name has 1 to ${TAG_NAME_MAX} characters, found ${JSON.stringify(long.slice(0, 20))}…`);
});

const TRACING = object({
  match: MATCH,
  randomSamplingPercentage: optional(number({ min: 0, max: 100 })),
  disableSpanReporting: optional(boolean()),
  customTags: optional(TAGS),
  providers: refused("is not supported: spans go where `tracing.endpoint` of the mesh says"),
  enableIstioTags: refused("is not supported: spans say who takes part by `cardea.` attributes"),
  useRequestIdForTraceSampling: refused("is not supported: traces are sampled by their ids"),
});

const FIELDS = object({
  selector: optional(SELECTOR),
  targetRef: refused(NO_TARGETS),
  targetRefs: refused(NO_TARGETS),
  accessLogging: optional(listOf(ITEM, { minCount: 1 })),
  metrics: refused("is not supported: which metrics there are, and their labels, is the same everywhere"),
  tracing: optional(listOf(TRACING, { minCount: 1 })),
});

/** Without one of the blocks that are read it would look as if it did something. */
const SPEC: Schema<ValueOf<typeof FIELDS>> = (value, scope) => {
  const spec = FIELDS(value, scope);
  if (spec === undefined || spec.accessLogging !== null || spec.tracing !== null) return spec;
  return addFault(scope, value.at, "is required, or `tracing`: nothing else of a Telemetry is read", "accessLogging");
};

/** telemetry.istio.io/v1 Telemetry. */
export const TELEMETRY = object({
  apiVersion: required(oneOf(...TELEMETRY_API_VERSIONS)),
  kind: required(oneOf("Telemetry")),
  metadata: required(AUTHENTICATION_METADATA),
  spec: required(SPEC),
  status: ignored(),
});

export function toTelemetry({ spec }: ValueOf<typeof TELEMETRY>): Telemetry {
  const accessLogging = (spec.accessLogging ?? []).map(({ match, disabled }) => ({
    mode: match?.mode ?? "CLIENT_AND_SERVER",
    isDisabled: disabled,
  }));
  const tracing = (spec.tracing ?? []).map((item) => ({
    mode: item.match?.mode ?? "CLIENT_AND_SERVER",
    samplingPercentage: item.randomSamplingPercentage,
    isReportingDisabled: item.disableSpanReporting,
    tags: item.customTags && new Map(Array.from(item.customTags, ([name, { literal }]) => [name, literal.value])),
  }));
  return { kind: "Telemetry", accessLogging, tracing };
}
