import type { Fault, Located } from "../core/located.ts";
import {
  addFault,
  ignored,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  type Placed,
  parsed,
  placed,
  plainOf,
  refused,
  required,
  type Schema,
  type Scope,
  string,
  type ValueOf,
} from "../core/schema.ts";
import type { Attribute } from "./attributes.ts";
import { readConditions } from "./condition.ts";
import { readValues, type ValueList } from "./values.ts";

/** An AuthorizationPolicy as it was read: checked, in one form, and knowing where each part was written. */
export interface AuthorizationPolicy {
  readonly name: string;
  readonly namespace: string;
  /** `namespace/name`, as decisions name it. */
  readonly id: string;
  readonly action: "ALLOW" | "DENY";
  /** Labels that a workload must have; empty: every workload in the policy's reach. */
  readonly matchLabels: ReadonlyMap<string, string>;
  /** Without a rule the policy never matches: an ALLOW policy then allows nothing. */
  readonly rules: readonly Rule[];
  readonly source: SourcePlace;
  /** The document as plain JSON, fit to be sent and read again. */
  readonly raw: unknown;
}

export interface SourcePlace {
  readonly file: string;
  /** Null for a document that came over the wire. */
  readonly line: number | null;
}

/** Matches when one of `from`, one of `to` and all of `when` do. */
export interface Rule {
  readonly index: number;
  /** Null: any source. Never empty. */
  readonly from: readonly Clauses[] | null;
  /** Null: any operation. Never empty. */
  readonly to: readonly Clauses[] | null;
  readonly when: Clauses;
  readonly source: SourcePlace;
}

/** Clauses that must all hold. */
export type Clauses = readonly Clause[];

/** One list of a policy, e.g. `notPrincipals: [...]`: holds when one value matches, or, negated, when none does. */
export interface Clause {
  readonly attribute: Attribute;
  /** The header's lower-case name, for `request.headers`. */
  readonly header: string | null;
  readonly isNegated: boolean;
  /** As written; never empty. */
  readonly values: readonly string[];
  /** e.g. `spec.rules[0].from[1].source.principals`. */
  readonly field: string;
  readonly line: number | null;
}

/** In files there is no kubectl context to take the namespace from; this is what `kubectl apply` would take without one. */
export const NAMESPACE_WHEN_ABSENT = "default";

/** The versions of security.istio.io that are read; they mean the same. */
export const SECURITY_API_VERSIONS = ["security.istio.io/v1", "security.istio.io/v1beta1"] as const;

const NOT_YET = "is not yet supported";
/** Istio's own bound (authorization_policy.proto, MaxItems). */
const RULES_MAX = 512;

/** A document → AuthorizationPolicy, or null with every fault added. */
export function parseAuthorizationPolicy(
  located: Located,
  source: { readonly file: string },
  faults: Fault[],
): AuthorizationPolicy | null {
  const scope: Scope = { file: source.file, field: "", faults };
  const faultsBefore = faults.length;
  const document = DOCUMENT(located, scope);
  if (document === undefined) return null;
  const { spec, metadata } = document;
  const action = spec.action ?? "ALLOW";
  const rules = (spec.rules ?? []).map((rule, index) => readRule(rule, index, scope));
  if (action === "DENY" && rules.length === 0) {
    addFault(scope, located.at, "a DENY policy without rules never matches; `rules: [{}]` denies everything", "spec");
  }
  if (faults.length !== faultsBefore) return null;
  const namespace = metadata.namespace ?? NAMESPACE_WHEN_ABSENT;
  return {
    name: metadata.name,
    namespace,
    id: `${namespace}/${metadata.name}`,
    action,
    matchLabels: spec.selector?.matchLabels ?? new Map(),
    rules,
    source: { file: source.file, line: located.at?.line ?? null },
    raw: plainOf(located),
  };
}

const NAME = parsed(string(), (name) => {
  if (name.length <= 253 && /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  throw new Error(`expected a Kubernetes name (a-z, 0-9, - and .), found ${JSON.stringify(name)}`);
});

const NAMESPACE = parsed(string(), (name) => {
  if (name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  throw new Error(`expected a namespace (a-z, 0-9 and -), found ${JSON.stringify(name)}`);
});

/** strconv.ParseBool, which is how Istio reads the annotation. */
const DRY_RUN: Schema<null> = (value, scope) => {
  const text = string()(value, scope);
  if (text === undefined || /^(0|f|F|false|FALSE|False)$/.test(text)) return null;
  const isTrue = /^(1|t|T|true|TRUE|True)$/.test(text);
  return addFault(scope, value.at, isTrue ? `dry-run ${NOT_YET}` : 'expected "true" or "false"');
};

const ANNOTATIONS: Schema<null> = (value, scope) => {
  mapOf(string({ allowEmpty: true }))(value, scope);
  if (value.kind !== "map") return undefined;
  const dryRun = value.entries.find((entry) => entry.key === "istio.io/dry-run");
  if (dryRun !== undefined) DRY_RUN(dryRun.value, { ...scope, field: `${scope.field}["istio.io/dry-run"]` });
  return null;
};

/** What kubectl prints besides what a person writes concerns nobody here. */
const METADATA = object({
  name: required(NAME),
  namespace: optional(NAMESPACE),
  labels: optional(mapOf(string({ allowEmpty: true }))),
  annotations: optional(ANNOTATIONS),
  creationTimestamp: ignored(),
  deletionGracePeriodSeconds: ignored(),
  deletionTimestamp: ignored(),
  finalizers: ignored(),
  generateName: ignored(),
  generation: ignored(),
  managedFields: ignored(),
  ownerReferences: ignored(),
  resourceVersion: ignored(),
  selfLink: ignored(),
  uid: ignored(),
});

/** Istio refuses wildcards in labels, since they would look as if they worked. */
const MATCH_LABELS: Schema<ReadonlyMap<string, string>> = (value, scope) => {
  const labels = mapOf(string({ allowEmpty: true }))(value, scope);
  for (const [key, label] of labels ?? []) {
    if (key === "") addFault(scope, value.at, "a label's name must not be empty");
    if (key.includes("*") || label.includes("*"))
      addFault(scope, value.at, `wildcards have no meaning in a selector: ${key}=${label}`);
  }
  return labels;
};

const VALUES = optional(placed(listOf(placed(string()), { minCount: 1 })));

const SOURCE = object({
  principals: VALUES,
  notPrincipals: VALUES,
  requestPrincipals: refused(NOT_YET),
  notRequestPrincipals: refused(NOT_YET),
  namespaces: VALUES,
  notNamespaces: VALUES,
  serviceAccounts: VALUES,
  notServiceAccounts: VALUES,
  trustDomains: VALUES,
  notTrustDomains: VALUES,
  ipBlocks: VALUES,
  notIpBlocks: VALUES,
  remoteIpBlocks: VALUES,
  notRemoteIpBlocks: VALUES,
});

const OPERATION = object({
  hosts: VALUES,
  notHosts: VALUES,
  ports: VALUES,
  notPorts: VALUES,
  methods: VALUES,
  notMethods: VALUES,
  paths: VALUES,
  notPaths: VALUES,
});

const CONDITION = object({ key: required(placed(string())), values: VALUES, notValues: VALUES });

const RULE = object({
  from: optional(listOf(object({ source: required(placed(SOURCE)) }), { minCount: 1 })),
  to: optional(listOf(object({ operation: required(placed(OPERATION)) }), { minCount: 1 })),
  when: optional(listOf(placed(CONDITION), { minCount: 1 })),
});

const ACTION: Schema<"ALLOW" | "DENY"> = (value, scope) => {
  const action = oneOf("ALLOW", "DENY", "AUDIT", "CUSTOM")(value, scope);
  if (action === "AUDIT" || action === "CUSTOM") return addFault(scope, value.at, `${action} ${NOT_YET}`);
  return action;
};

const RULES: Schema<readonly Placed<RuleFields>[]> = (value, scope) => {
  const rules = listOf(placed(RULE))(value, scope);
  if (rules !== undefined && rules.length > RULES_MAX)
    return addFault(scope, value.at, `has ${rules.length} rules; a policy may have ${RULES_MAX}`);
  return rules;
};

const DOCUMENT = object({
  apiVersion: required(oneOf(...SECURITY_API_VERSIONS)),
  kind: required(oneOf("AuthorizationPolicy")),
  metadata: required(METADATA),
  spec: required(
    object({
      selector: optional(object({ matchLabels: optional(MATCH_LABELS) })),
      targetRef: refused(NOT_YET),
      targetRefs: refused(NOT_YET),
      action: optional(ACTION),
      provider: refused(`is for the action CUSTOM, which ${NOT_YET}`),
      rules: optional(RULES),
    }),
  ),
  status: ignored(),
});

type RuleFields = ValueOf<typeof RULE>;
type SourceFields = ValueOf<typeof SOURCE>;
type OperationFields = ValueOf<typeof OPERATION>;

function readRule(rule: Placed<RuleFields>, index: number, scope: Scope): Rule {
  const { from, to, when } = rule.value;
  return {
    index,
    from: from?.map((each) => readSource(each.source, scope)) ?? null,
    to: to?.map((each) => readOperation(each.operation, scope)) ?? null,
    when: (when ?? []).flatMap((condition) => readConditions(condition, scope)),
    source: { file: scope.file, line: rule.at?.line ?? null },
  };
}

function readSource(source: Placed<SourceFields>, scope: Scope): Clauses {
  const fields = source.value;
  const namesAccount = fields.serviceAccounts ?? fields.notServiceAccounts;
  const namesOther = fields.principals ?? fields.notPrincipals ?? fields.namespaces ?? fields.notNamespaces;
  if (namesAccount !== null && namesOther !== null) {
    // Istio's validation refuses it as well (ValidateAuthorizationPolicy).
    addPlacedFault(scope, namesAccount, "cannot stand beside principals or namespaces in one source");
  }
  return readClauses(source, SOURCE_ATTRIBUTES, scope);
}

function readOperation(operation: Placed<OperationFields>, scope: Scope): Clauses {
  return readClauses(operation, OPERATION_ATTRIBUTES, scope);
}

const SOURCE_ATTRIBUTES = {
  principals: "source.principal",
  namespaces: "source.namespace",
  serviceAccounts: "source.serviceAccount",
  trustDomains: "source.trustDomain",
  ipBlocks: "source.ip",
  remoteIpBlocks: "remote.ip",
} as const satisfies Partial<Record<keyof SourceFields, Attribute>>;

const OPERATION_ATTRIBUTES = {
  hosts: "request.host",
  ports: "destination.port",
  methods: "request.method",
  paths: "request.path",
} as const satisfies Partial<Record<keyof OperationFields, Attribute>>;

function readClauses(
  fields: Placed<Readonly<Record<string, ValueList | null>>>,
  attributes: Readonly<Record<string, Attribute>>,
  scope: Scope,
): Clauses {
  const clauses: Clause[] = [];
  for (const [name, attribute] of Object.entries(attributes)) {
    const negated = `not${name[0]!.toUpperCase()}${name.slice(1)}`;
    for (const [field, isNegated] of [
      [name, false],
      [negated, true],
    ] as const) {
      const list = fields.value[field] ?? null;
      if (list !== null) clauses.push({ attribute, header: null, isNegated, ...readValues(attribute, list, scope) });
    }
  }
  if (clauses.length === 0) addPlacedFault(scope, fields, "must not be empty: leave it out to match everything");
  return clauses;
}

function addPlacedFault(scope: Scope, value: Placed<unknown>, message: string): void {
  addFault({ ...scope, field: value.field }, value.at, message);
}
