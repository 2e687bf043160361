import { expect, test } from "vitest";
import { parseSpiffeId } from "../../../src/core/spiffe-id.ts";
import type { PeerAttribute } from "../../../src/policy/attributes.ts";
import { type PeerView, readPeer } from "../../../src/policy/clause-test.ts";
import type { Lookup } from "../../../src/policy/lookup/lookup.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";
import { type PeerCheck, peerCheck } from "../../../src/policy/peer-lookup.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";

// What peers are found by, value for value: peer-lookup.property.test.ts holds that it is what clauses match, over worlds
// in which some of this is rare.

function lookupOf(
  attribute: PeerAttribute,
  values: readonly string[],
  action: "ALLOW" | "DENY" = "ALLOW",
): Lookup<PeerCheck, PeerView> {
  const policy = policyOf({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "p", namespace: "shop" },
    spec: { action, rules: [{}] },
  });
  const clause = { attribute, header: null, claim: null, isNegated: false, values, field: "", line: null };
  const literal = { clause, policy, namesTrustDomains: false };
  const { lookup } = peerCheck(literal, attribute, () => true, DEFAULT_MESH_SETTINGS);
  if (lookup === null) throw new Error(`${attribute} is not looked up`);
  return lookup;
}

function wordsOf({ patterns }: Lookup<PeerCheck, PeerView>): readonly string[] {
  return patterns.map(({ kind, text }) => `${kind} ${text}`);
}

const peerOf = (fields: { principal?: string; sourceIp?: string; sni?: string }): PeerView =>
  readPeer({
    principal: fields.principal === undefined ? null : parseSpiffeId(fields.principal),
    sourceIp: fields.sourceIp ?? "10.0.0.1",
    remoteIp: "10.0.0.2",
    destinationIp: "10.0.0.3",
    destinationPort: 8080,
    sni: fields.sni ?? null,
  });

test.each<readonly [PeerAttribute, string, string | undefined]>([
  ["source.namespace", "spiffe://cluster.local/ns/shop/sa/web", "shop"],
  ["source.namespace", "spiffe://far.example/ns/shop/sa/web", undefined],
  ["source.namespace", "spiffe://cluster.local/ns/shop/sa/web/extra", undefined],
  ["source.serviceAccount", "spiffe://cluster.local/ns/shop/sa/web", "shop/web"],
  ["source.serviceAccount", "spiffe://far.example/ns/shop/sa/web", undefined],
  ["source.serviceAccount", "spiffe://cluster.local/shop/web", undefined],
])("what grants by %s sees of %s only what is of this mesh's own domain: %s", (attribute, principal, wanted) => {
  const { subject } = lookupOf(attribute, ["web"]);
  expect(subject.textOf(peerOf({ principal }))).toBe(wanted);
});

test.each<PeerAttribute>(["source.namespace", "source.serviceAccount", "source.principal"])(
  "a peer without an identity has nothing that %s is granted by",
  (attribute) => {
    expect(lookupOf(attribute, ["web"]).subject.textOf(peerOf({}))).toBeUndefined();
  },
);

test.each<PeerAttribute>(["source.namespace", "source.serviceAccount"])(
  "nor is it found by what denies a %s, and what is not a namespace's or an account's step is none",
  (attribute) => {
    const { subject } = lookupOf(attribute, ["web"], "DENY");
    expect(subject.textOf(peerOf({}))).toEqual([]);
    expect(subject.textOf(peerOf({ principal: "spiffe://far.example/a/b" }))).toEqual([]);
    expect(subject.textOf(peerOf({ principal: "spiffe://far.example/ns/x/sa/x/ns/y/sa/y" }))).toEqual(["x", "y"]);
  },
);

test("an account without a namespace is of the policy's own, and a grant to it is none to one of the same name elsewhere", () => {
  expect(wordsOf(lookupOf("source.serviceAccount", ["web", "far/web"]))).toEqual(["exact shop/web", "exact far/web"]);
  expect(wordsOf(lookupOf("source.serviceAccount", ["web", "far/db"], "DENY"))).toEqual(["exact web", "exact db"]);
});

test("a namespace's star stands at the end that it is written at", () => {
  expect(wordsOf(lookupOf("source.namespace", ["a", "a*", "*a"]))).toEqual(["exact a", "prefix a", "suffix a"]);
});

test.each<readonly [string, string]>([
  ["0.0.0.1", `4:${"0".repeat(31)}1`],
  ["128.0.0.0", `4:1${"0".repeat(31)}`],
  ["::1", `6:${"0".repeat(127)}1`],
  ["8000::", `6:1${"0".repeat(127)}`],
  ["not-an-address", "unknown"],
])("the address %s is the text of all its bits: %s", (sourceIp, wanted) => {
  expect(lookupOf("source.ip", ["10.0.0.1"]).subject.textOf(peerOf({ sourceIp }))).toBe(wanted);
});

test("a range is the bits that its addresses begin with, and what denies it is found where the address is unknown, too", () => {
  const ranges = ["0.0.0.0/0", "128.0.0.0/1", "0.0.0.0/31", "0.0.0.1", "::/0", "8000::/1", "::1"];
  const wanted = [
    "prefix 4:",
    "prefix 4:1",
    `prefix 4:${"0".repeat(31)}`,
    `prefix 4:${"0".repeat(31)}1`,
    "prefix 6:",
    "prefix 6:1",
    `prefix 6:${"0".repeat(127)}1`,
  ];
  expect(wordsOf(lookupOf("source.ip", ranges))).toEqual(wanted);
  expect(wordsOf(lookupOf("source.ip", ranges, "DENY"))).toEqual([...wanted, "exact unknown"]);
});

test("a peer that names no server is found by no server's name", () => {
  const { subject } = lookupOf("connection.sni", ["orders"], "DENY");
  expect(subject.textOf(peerOf({}))).toBe("");
  expect(subject.textOf(peerOf({ sni: "orders" }))).toBe("orders");
});
