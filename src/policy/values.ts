import { parseCidr } from "../core/cidr.ts";
import { addFault, listOf, type Placed, placed, type Schema, type Scope, string } from "../core/schema.ts";
import { ATTRIBUTE_TABLE, type Attribute } from "./attributes.ts";
import { assertPathPattern } from "./path-template.ts";

/** Istio's own bounds (CheckServiceAccount). */
const SERVICE_ACCOUNTS_MAX = 16;
const SERVICE_ACCOUNT_LENGTH_MAX = 320;

/** What a clause keeps of a list of values. */
export interface ClauseValues {
  readonly values: readonly string[];
  readonly field: string;
  readonly line: number | null;
}

const LIST = placed(listOf(placed(string()), { minCount: 1 }));

/** A list of values that the attribute can have; what those are, Istio's pkg/config/security decides. */
export function valuesOf(attribute: Attribute): Schema<ClauseValues> {
  return (value, scope) => {
    const list = LIST(value, scope);
    if (list === undefined) return undefined;
    const areGood = list.value.map((each) => checkValue(attribute, each, scope)).every(Boolean);
    if (attribute === "source.serviceAccount" && list.value.length > SERVICE_ACCOUNTS_MAX)
      return addFault(scope, value.at, `may not have more than ${SERVICE_ACCOUNTS_MAX} values`);
    if (!areGood) return undefined;
    return { values: list.value.map((each) => each.value), field: list.field, line: list.at?.line ?? null };
  };
}

function checkValue(attribute: Attribute, value: Placed<string>, scope: Scope): boolean {
  try {
    assertValue(attribute, value.value);
    return true;
  } catch (thrown) {
    addFault({ ...scope, field: value.field }, value.at, thrown instanceof Error ? thrown.message : String(thrown));
    return false;
  }
}

/** A `ports` value → number. Throws an Error that says what was expected. */
export function parsePort(text: string): number {
  const port = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new Error(`expected a port from 0 to 65535, found ${JSON.stringify(text)}`);
}

function assertValue(attribute: Attribute, value: string): void {
  switch (ATTRIBUTE_TABLE[attribute].values) {
    case "ip":
      parseCidr(value);
      return;
    case "port":
      parsePort(value);
      return;
    case "path":
      assertPathPattern(value);
      return;
    case "serviceAccount":
      assertServiceAccount(value);
      return;
    case "text":
      if (attribute === "source.principal") assertNoScheme(value);
      if (attribute === "source.trustDomain") assertTrustDomain(value);
      return;
    case "user":
      assertUser(value);
      return;
    case "host":
      return;
  }
}

/** `account` or `namespace/account`, without wildcards. */
function assertServiceAccount(value: string): void {
  const isShaped = /^[^/*]+(\/[^/*]+)?$/.test(value) && value.length <= SERVICE_ACCOUNT_LENGTH_MAX;
  if (!isShaped) throw new Error(`expected serviceAccount or namespace/serviceAccount, found ${JSON.stringify(value)}`);
}

/** Istio would add the scheme a second time, and the principal would never match: better said than found out. */
function assertNoScheme(value: string): void {
  if (!value.startsWith("spiffe://")) return;
  throw new Error(`is written without spiffe:// here: ${JSON.stringify(value.slice("spiffe://".length))}`);
}

/** Istio reads a star at the start or at the end, and any other as a letter: such a value would match next to nobody. */
function assertUser(value: string): void {
  const stars = value.split("*").length - 1;
  if (stars > 1) throw new Error(`expected at most one * in issuer/subject, found ${JSON.stringify(value)}`);
}

function assertTrustDomain(value: string): void {
  const stars = value.split("*").length - 1;
  const isAtAnEnd = value.startsWith("*") || value.endsWith("*");
  if (stars > 1 || (stars === 1 && !isAtAnEnd) || value.includes("/"))
    throw new Error(`expected a trust domain, perhaps with one * at its start or end, found ${JSON.stringify(value)}`);
}
