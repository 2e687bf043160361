import { expect, test } from "vitest";
import { locatePlain } from "../../../../src/core/located.ts";
import type { Schema } from "../../../../src/core/schema.ts";
import { AUTHENTICATION_KINDS, isAuthenticationKind } from "../../../../src/policy/authentication/kinds.ts";
import { AUTHENTICATION_METADATA } from "../../../../src/policy/authentication/metadata.ts";
import { MUTUAL_TLS_MODES, mutualTlsAt, STRICT_BY_DEFAULT } from "../../../../src/policy/authentication/mutual-tls.ts";

test("where nobody speaks of a workload, each of its ports takes mutual TLS alone", () => {
  expect(STRICT_BY_DEFAULT).toEqual({ mode: "STRICT", by: null, ports: new Map() });
  expect(Object.isFrozen(STRICT_BY_DEFAULT)).toBe(true);
  for (const port of [0, 80, 65_535])
    expect(mutualTlsAt(STRICT_BY_DEFAULT, port)).toMatchObject({ mode: "STRICT", by: null });
});

test("a port of which something is said takes that, and no other does", () => {
  const own = { mode: "DISABLE", by: "shop/own" } as const;
  const all = { mode: "STRICT", by: "shop/all", ports: new Map([[80, own]]) } as const;
  expect(mutualTlsAt(all, 80)).toBe(own);
  expect(mutualTlsAt(all, 8080)).toMatchObject({ mode: "STRICT", by: "shop/all" });
  expect(MUTUAL_TLS_MODES).toEqual(["STRICT", "PERMISSIVE", "DISABLE"]);
});

test("a document is of a kind that is known, or it is none on authentication", () => {
  expect(AUTHENTICATION_KINDS).toEqual(["RequestAuthentication", "PeerAuthentication", "Telemetry"]);
  for (const kind of AUTHENTICATION_KINDS) expect(isAuthenticationKind(kind)).toBe(true);
  for (const kind of ["", "AuthorizationPolicy", "peerAuthentication", null])
    expect(isAuthenticationKind(kind), String(kind)).toBe(false);
});

type Read = { readonly value: unknown; readonly faults: readonly string[] };

function annotated(annotations: unknown): Read {
  const faults: Parameters<Schema<unknown>>[1]["faults"] = [];
  const located = locatePlain({ name: "a", ...(annotations === undefined ? {} : { annotations }) });
  const value = AUTHENTICATION_METADATA(located, { file: "a.yaml", field: "metadata", faults })?.annotations;
  return { value, faults: faults.map(({ field, message }) => `${field} ${message}`) };
}

const REQUIRE = "cardea.dev/require-expiration";
const FAULT = `metadata.annotations["${REQUIRE}"] expected "true" or "false"`;

test.each<readonly [unknown, Read]>([
  [{ [REQUIRE]: "no" }, { value: undefined, faults: [FAULT] }],
  [{ [REQUIRE]: "" }, { value: undefined, faults: [FAULT] }],
  [{ [REQUIRE]: "FALSE" }, { value: undefined, faults: [FAULT] }],
  [{}, { value: { isExpirationRequired: true }, faults: [] }],
  [
    { other: "", [REQUIRE]: "true" },
    { value: { isExpirationRequired: true }, faults: [] },
  ],
  [
    { other: "", [REQUIRE]: "false" },
    { value: { isExpirationRequired: false }, faults: [] },
  ],
  [{ other: "false" }, { value: { isExpirationRequired: true }, faults: [] }],
])("a token must end unless that is said, in words that are known: %o", (annotations, wanted) => {
  expect(annotated(annotations)).toEqual(wanted);
});

test("annotations that are no texts are refused, and none are none", () => {
  for (const bad of [["a"], { [REQUIRE]: false }]) {
    const { value, faults } = annotated(bad);
    expect(value).toBeUndefined();
    expect(faults.length).toBeGreaterThan(0);
  }
  expect(annotated(undefined)).toEqual({ value: null, faults: [] });
});
