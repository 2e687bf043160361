import { parseCidr } from "../core/cidr.ts";
import { addFault, type Placed, type Scope } from "../core/schema.ts";
import { ATTRIBUTE_TABLE, type Attribute } from "./attributes.ts";
import { assertPathPattern } from "./path-template.ts";

/** Istio's own bounds (CheckServiceAccount). */
const SERVICE_ACCOUNTS_MAX = 16;
const SERVICE_ACCOUNT_LENGTH_MAX = 320;

/** A list of values and where each of them was written. */
export type ValueList = Placed<readonly Placed<string>[]>;

/**
 * A list → what a clause keeps of it, with a fault added for each value that the attribute cannot have.
 * What those are, Istio's pkg/config/security decides.
 */
export function readValues(
  attribute: Attribute,
  list: ValueList,
  scope: Scope,
): { readonly values: readonly string[]; readonly field: string; readonly line: number | null } {
  for (const value of list.value) {
    try {
      assertValue(attribute, value.value);
    } catch (thrown) {
      addFault({ ...scope, field: value.field }, value.at, thrown instanceof Error ? thrown.message : String(thrown));
    }
  }
  if (attribute === "source.serviceAccount" && list.value.length > SERVICE_ACCOUNTS_MAX)
    addFault({ ...scope, field: list.field }, list.at, `may not have more than ${SERVICE_ACCOUNTS_MAX} values`);
  return { values: list.value.map((value) => value.value), field: list.field, line: list.at?.line ?? null };
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

function assertTrustDomain(value: string): void {
  const stars = value.split("*").length - 1;
  const isAtAnEnd = value.startsWith("*") || value.endsWith("*");
  if (stars > 1 || (stars === 1 && !isAtAnEnd) || value.includes("/"))
    throw new Error(`expected a trust domain, perhaps with one * at its start or end, found ${JSON.stringify(value)}`);
}
