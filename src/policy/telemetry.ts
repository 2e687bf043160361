import {
  addFault,
  boolean,
  ignored,
  listOf,
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
import { AUTHENTICATION_METADATA } from "./authentication/metadata.ts";
import { NO_TARGETS, SELECTOR } from "./document-parts.ts";

/** What is to be recorded at the workloads that it selects. Only access logging is read of it. */
export interface Telemetry {
  readonly kind: "Telemetry";
  /** In the order in which they stand: a later one counts above an earlier. */
  readonly accessLogging: readonly AccessLogging[];
}

export interface AccessLogging {
  /** Whose records: as the caller, as the called, or both. */
  readonly mode: "CLIENT" | "SERVER" | "CLIENT_AND_SERVER";
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

const ITEM = object({
  match: optional(object({ mode: optional(oneOf("CLIENT", "SERVER", "CLIENT_AND_SERVER")) })),
  providers: optional(listOf(PROVIDER, { minCount: 1 })),
  disabled: optional(boolean()),
  filter: refused("is not supported: what is recorded does not depend on the request; select by `match.mode`"),
});

const FIELDS = object({
  selector: optional(SELECTOR),
  targetRef: refused(NO_TARGETS),
  targetRefs: refused(NO_TARGETS),
  accessLogging: optional(listOf(ITEM, { minCount: 1 })),
  metrics: refused("is not supported: which metrics there are, and their labels, is the same everywhere"),
  tracing: refused("is not supported: trace context is passed on, and spans are not reported"),
});

/** Without the one block that is read it would look as if it did something. */
const SPEC: Schema<ValueOf<typeof FIELDS>> = (value, scope) => {
  const spec = FIELDS(value, scope);
  if (spec === undefined || spec.accessLogging !== null) return spec;
  return addFault(scope, value.at, "is required: nothing else of a Telemetry is read", "accessLogging");
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
  return { kind: "Telemetry", accessLogging };
}
