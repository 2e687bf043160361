import type { Fault, Located } from "../../core/located.ts";
import { NAMESPACE_WHEN_ABSENT } from "../../core/object-metadata.ts";
import {
  addFault,
  ignored,
  integer,
  listOf,
  object,
  oneOf,
  optional,
  parsed,
  placed,
  required,
  type Schema,
  type Scope,
  string,
} from "../../core/schema.ts";
import type { AuthorizationPolicy } from "../document.ts";
import { RULES, type SourcePlace } from "../rule.ts";

/** What must hold of a policy set whatever else it says. Read from an Invariant document (cardea.dev/v1). */
export type Invariant = NeverAllowed | Unreachable;

interface InvariantHead {
  readonly name: string;
  readonly description: string | null;
  readonly source: SourcePlace;
}

/** No request that one of the rules matches may be allowed: the rules, as a DENY policy, must have nothing to do. */
export interface NeverAllowed extends InvariantHead {
  readonly kind: "never";
  /** Null: on every workload. */
  readonly to: readonly Target[] | null;
  /** As a DENY policy, so that its matchers read like those of one. */
  readonly rules: AuthorizationPolicy;
}

/** No way leads from one workload to another, whichever workloads between them are taken over. */
export interface Unreachable extends InvariantHead {
  readonly kind: "unreachable";
  readonly from: readonly Target[];
  readonly to: readonly Target[];
  /** Calls from one workload to the next that are looked at; null: any number. */
  readonly hops: number | null;
}

/** `namespace/name`, either of which may be `*`, perhaps with a port. */
export interface Target {
  readonly namespace: string;
  readonly name: string;
  readonly port: number | null;
}

/** A document → Invariant, or null with every fault added. */
export function parseInvariant(located: Located, source: { readonly file: string }, faults: Fault[]): Invariant | null {
  const scope: Scope = { file: source.file, field: "", faults };
  const document = DOCUMENT(located, scope);
  if (document === undefined) return null;
  const { metadata, spec } = document;
  const place = { file: source.file, line: located.at?.line ?? null };
  const head = { name: metadata.name, description: spec.description, source: place };
  const { never, unreachable } = spec;
  if (never !== null && unreachable === null) {
    if (never.value.length === 0) {
      addFault({ ...scope, field: never.field }, never.at, "must not be an empty list: it would forbid nothing");
      return null;
    }
    const namespace = metadata.namespace ?? NAMESPACE_WHEN_ABSENT;
    const id = `invariant ${metadata.name}`;
    const name = metadata.name;
    const rules = {
      name,
      namespace,
      id,
      matchLabels: new Map(),
      rules: never.value,
      source: place,
      isDryRun: false,
      terms: null,
      raw: null,
    };
    return { ...head, kind: "never", to: spec.to, rules: { ...rules, action: "DENY", provider: null } };
  }
  if (never === null && unreachable !== null && spec.to === null)
    return { ...head, kind: "unreachable", ...unreachable };
  const message =
    unreachable !== null && spec.to !== null
      ? "`to` goes with `never`; `unreachable` has one of its own"
      : "needs either `never`, a list of rules, or `unreachable`";
  addFault(scope, located.at, message, "spec");
  return null;
}

const TARGET: Schema<Target> = parsed(string(), (text) => {
  const parts = /^([a-z0-9-]+|\*)\/([A-Za-z0-9._-]+|\*)(?::(\d{1,5}))?$/.exec(text);
  const port = parts?.[3] === undefined ? null : Number(parts[3]);
  if (parts === null || (port !== null && (port < 1 || port > 65_535)))
    throw new Error(`expected namespace/name, either perhaps *, and perhaps a :port; found ${JSON.stringify(text)}`);
  return { namespace: parts[1]!, name: parts[2]!, port };
});

const TARGETS = listOf(TARGET, { minCount: 1 });
const HOPS_MAX = 1_000;

const DOCUMENT = object({
  apiVersion: required(oneOf("cardea.dev/v1")),
  kind: required(oneOf("Invariant")),
  metadata: required(
    object({ name: required(string()), namespace: optional(string()), labels: ignored(), annotations: ignored() }),
  ),
  spec: required(
    object({
      description: optional(string()),
      to: optional(TARGETS),
      never: optional(placed(RULES)),
      unreachable: optional(
        object({
          from: required(TARGETS),
          to: required(TARGETS),
          hops: optional(integer({ min: 1, max: HOPS_MAX })),
        }),
      ),
    }),
  ),
});
