import type { Located } from "../core/located.ts";
import {
  addFault,
  type Field,
  listOf,
  object,
  optional,
  type Placed,
  placed,
  required,
  type Schema,
  type Scope,
  type ValueOf,
} from "../core/schema.ts";
import type { Attribute } from "./attributes.ts";
import type { Clause, Clauses } from "./clause.ts";
import { CONDITION } from "./condition.ts";
import { type ClauseValues, valuesOf } from "./values.ts";

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

export interface SourcePlace {
  readonly file: string;
  /** Null for a document that came over the wire. */
  readonly line: number | null;
}

/** Istio's own bound (authorization_policy.proto, MaxItems). */
const RULES_MAX = 512;

type AttributesByField = Readonly<Record<string, Attribute>>;
type ClauseFields<A extends AttributesByField> = {
  readonly [Name in (keyof A & string) | `not${Capitalize<keyof A & string>}`]: Field<ClauseValues | null>;
};

const SOURCE_ATTRIBUTES = {
  principals: "source.principal",
  requestPrincipals: "request.auth.principal",
  namespaces: "source.namespace",
  serviceAccounts: "source.serviceAccount",
  trustDomains: "source.trustDomain",
  ipBlocks: "source.ip",
  remoteIpBlocks: "remote.ip",
} as const satisfies AttributesByField;

const OPERATION_ATTRIBUTES = {
  methods: "request.method",
  paths: "request.path",
  hosts: "request.host",
  ports: "destination.port",
} as const satisfies AttributesByField;

const SOURCE_FIELDS = object(clauseFields(SOURCE_ATTRIBUTES));

const OPERATION_FIELDS = object(clauseFields(OPERATION_ATTRIBUTES));

const SOURCE: Schema<Clauses> = (value, scope) => {
  const clauses = readClauses(SOURCE_FIELDS(value, scope), SOURCE_ATTRIBUTES, value, scope);
  const account = clauses?.find((clause) => clause.attribute === "source.serviceAccount");
  const other = clauses?.find(({ attribute }) => attribute === "source.principal" || attribute === "source.namespace");
  // Istio's validation refuses it as well (ValidateAuthorizationPolicy).
  if (account !== undefined && other !== undefined)
    return addFault(
      { ...scope, field: account.field },
      value.at,
      "cannot stand beside principals or namespaces in one source",
    );
  return clauses;
};

const OPERATION: Schema<Clauses> = (value, scope) =>
  readClauses(OPERATION_FIELDS(value, scope), OPERATION_ATTRIBUTES, value, scope);

const RULE = object({
  from: optional(listOf(object({ source: required(SOURCE) }), { minCount: 1 })),
  to: optional(listOf(object({ operation: required(OPERATION) }), { minCount: 1 })),
  when: optional(listOf(CONDITION, { minCount: 1 })),
});

/** A policy's rules, numbered in the order in which they stand. */
export const RULES: Schema<readonly Rule[]> = (value, scope) => {
  const rules = listOf(placed(RULE))(value, scope);
  if (rules !== undefined && rules.length > RULES_MAX)
    return addFault(scope, value.at, `has ${rules.length} rules; a policy may have ${RULES_MAX}`);
  return rules?.map((rule, index) => readRule(rule, index, scope.file));
};

type RuleFields = ValueOf<typeof RULE>;

function readRule(rule: Placed<RuleFields>, index: number, file: string): Rule {
  const { from, to, when } = rule.value;
  return {
    index,
    from: from?.map((each) => each.source) ?? null,
    to: to?.map((each) => each.operation) ?? null,
    when: (when ?? []).flat(),
    source: { file, line: rule.at?.line ?? null },
  };
}

/** The schema's fields for lists of an attribute's values, each with its `not…`. */
function clauseFields<const A extends AttributesByField>(attributes: A): ClauseFields<A> {
  const fields = Object.entries(attributes).flatMap(([name, attribute]) =>
    [name, negatedName(name)].map((each) => [each, optional(valuesOf(attribute))]),
  );
  // Built from the very names that the type is made of.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.fromEntries(fields) as ClauseFields<A>;
}

function readClauses(
  fields: Readonly<Record<string, ClauseValues | null>> | undefined,
  attributes: AttributesByField,
  value: Located,
  scope: Scope,
): Clauses | undefined {
  if (fields === undefined) return undefined;
  const clauses = Object.entries(attributes).flatMap(([name, attribute]) => [
    ...clauseOf(attribute, false, fields[name]),
    ...clauseOf(attribute, true, fields[negatedName(name)]),
  ]);
  return clauses.length > 0
    ? clauses
    : addFault(scope, value.at, "must not be empty: leave it out to match everything");
}

function clauseOf(attribute: Attribute, isNegated: boolean, list: ClauseValues | null | undefined): readonly Clause[] {
  return list === null || list === undefined ? [] : [{ attribute, header: null, claim: null, isNegated, ...list }];
}

function negatedName(name: string): string {
  return `not${name[0]!.toUpperCase()}${name.slice(1)}`;
}
