import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type PolicyReadings, parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { formatFault } from "../../../src/core/located.ts";
import { corpusPath } from "../../support/corpus.ts";

function policyText(name: string, namespace = "shop"): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: ${name}
  namespace: ${namespace}
spec: {}
`;
}

const TEST_TEXT = `apiVersion: cardea.dev/v1
kind: PolicyTest
metadata: {name: t}
spec:
  to: shop/orders:8080
  tests:
    - {name: a, from: shop/web, request: {path: /}, expect: deny}
`;

function read(...texts: string[]): { ids: string[]; tests: number; faults: string[] } {
  const files = texts.map((text, i) => ({ path: `${i}.yaml`, text }));
  const { documents, tests, faults } = parsePolicyFiles(files);
  return { ids: documents.map((each) => each.id), tests: tests.length, faults: faults.map(formatFault) };
}

test("policies and tests come from any number of documents, files and Lists", () => {
  const list = `apiVersion: v1\nkind: List\nitems:\n${policyText("c").replace(/^/gm, "    ").replace("    api", "  - api")}`;
  expect(read(`${policyText("a")}---\n${policyText("a", "other")}`, TEST_TEXT, list.trimEnd())).toEqual({
    ids: ["shop/a", "other/a", "shop/c"],
    tests: 1,
    faults: [],
  });
});

test("a policy without namespace is where kubectl would put it", () => {
  expect(read(policyText("a").replace("  namespace: shop\n", "")).ids).toEqual(["default/a"]);
});

test("one fault anywhere refuses the whole set, and every fault is named", () => {
  const bad = policyText("b").replace("spec: {}", "spec: {rulez: []}");
  expect(read(policyText("a"), bad, TEST_TEXT, "")).toEqual({
    ids: [],
    tests: 0,
    faults: ["1.yaml:6:8: spec.rulez: unknown field; did you mean `rules`?", "3.yaml:1:1: empty file"],
  });
});

test("two policies of one name are a fault that names both places", () => {
  expect(read(policyText("a"), `---\n${policyText("a")}`).faults).toEqual([
    "1.yaml:2:1: metadata.name: there are two policies shop/a; the other is at 0.yaml:1",
  ]);
});

describe("documents of other kinds are refused by name", () => {
  test.each([
    ["kind: Gateway", "kind: Gateway is not yet supported"],
    ["kind: AuthorisationPolicy", "did you mean `AuthorizationPolicy`?"],
    ["kind: Gateway", "kind: Gateway is not yet supported"],
    ["kind: VirtualServices", "did you mean `VirtualService`?"],
    ["kind: Deployment", 'GRPCRoute, Sidecar, found "Deployment"'],
    ["kind: 7", "kind: is required and must be a text"],
    ["metadata: {}", "kind: is required and must be a text"],
    ["- a", "expected a map with apiVersion, kind, metadata and spec"],
    ["just text", "expected a map with apiVersion, kind, metadata and spec"],
  ])("%s", (text, message) => {
    expect(read(text).faults.join()).toContain(message);
  });
});

describe("the revision", () => {
  const files = [
    { path: "policies/a.yaml", text: policyText("a") },
    { path: "policies/sub/b.yaml", text: policyText("b") },
  ];
  const { revision } = parsePolicyFiles(files);

  test("is twelve hexadecimal digits that the order and place of the files do not change", () => {
    expect(revision).toMatch(/^[0-9a-f]{12}$/);
    const moved = files.map(({ path, text }) => ({ path: `/elsewhere/${path}`, text }));
    expect(parsePolicyFiles(moved.toReversed()).revision).toBe(revision);
  });

  test.each<[string, { path: string; text: string }[]]>([
    ["a changed text", [files[0]!, { ...files[1]!, text: policyText("c") }]],
    ["a renamed file", [files[0]!, { ...files[1]!, path: "policies/sub/c.yaml" }]],
    ["a file more", [...files, { path: "policies/d.yaml", text: TEST_TEXT }]],
    ["a file less", [files[0]!]],
    ["two files in one", [{ path: "policies/a.yaml", text: `${files[0]!.text}${files[1]!.text}` }]],
  ])("changes with %s", (_name, changed) => {
    expect(parsePolicyFiles(changed).revision).not.toBe(revision);
  });

  test("is found for files that share no directory, one path absolute and the other not", () => {
    const both = ["/etc/policies/a.yaml", "policies/b.yaml"].map((path) => ({ path, text: "{}" }));
    expect(parsePolicyFiles(both).revision).toBe(parsePolicyFiles(both.toReversed()).revision);
  });

  test("is told for a refused set too", () => {
    expect(parsePolicyFiles([{ path: "a.yaml", text: "" }]).revision).toMatch(/^[0-9a-f]{12}$/);
  });
});

// Istio's own test inputs: each loads, or says exactly what is not yet supported.
const corpus = corpusPath("istio-policies");
const NOT_YET: Readonly<Record<string, readonly string[]>> = {
  "http-allow-full-rule.yaml": ["spec.rules[1].when[13].key"],
  "tcp-deny-both-http-tcp.yaml": ["spec.rules[10].when[12].key"],
  "valid-authz.yaml": ["spec.rules[0].when[14].key"],
  // For waypoints: refused as AuthorizationPolicy refuses it.
  "valid-reqauth.yaml": ["spec.targetRefs"],
};

describe.skipIf(corpus === null)("Istio's own policies (needs the shared corpus)", () => {
  const names = corpus === null ? [] : readdirSync(corpus).filter((name) => name.endsWith(".yaml"));

  test("there are policies to look at", () => {
    expect(names.length).toBeGreaterThan(10);
    expect(names).toEqual(expect.arrayContaining(Object.keys(NOT_YET)));
  });

  test.each(names)("%s loads, or says which field is not yet supported", (name) => {
    const { documents, authentication, faults } = parsePolicyFiles([
      { path: name, text: readFileSync(join(corpus!, name), "utf8") },
    ]);
    expect(faults.map((fault) => fault.field)).toEqual(NOT_YET[name] ?? []);
    for (const fault of faults)
      expect(fault.message).toMatch(
        /is not yet supported$|is Envoy's own and not supported$|is for gateways and waypoints/,
      );
    for (const fault of faults) expect(fault.line).toBeGreaterThan(0);
    expect(documents.length + authentication.length > 0).toBe(faults.length === 0);
  });
});

describe("a set that is read again", () => {
  test("is read as if for the first time, whatever was known of it", () => {
    const readings: PolicyReadings = new Map();
    const sets = [
      [file("a", "{}"), file("b", "{}")],
      [file("a", "{rules: [{}]}"), file("b", "{}")],
      [file("b", "{}")],
      [file("a", "{action: MAYBE}"), file("b", "{}")],
      [file("a", "{action: MAYBE}"), file("b", "{}"), { ...file("b", "{}"), path: "c.yaml" }],
      [file("a", "{}"), file("b", "{}")],
    ];
    for (const files of sets) expect(parsePolicyFiles(files, readings)).toEqual(parsePolicyFiles(files));
  });

  test("gives the documents of unchanged files as they are, and forgets what is gone", () => {
    const readings: PolicyReadings = new Map();
    const first = parsePolicyFiles([file("a", "{}"), file("b", "{}")], readings);
    const second = parsePolicyFiles([file("a", "{}"), file("b", "{rules: [{}]}")], readings);
    expect(second.documents[0]).toBe(first.documents[0]);
    expect(second.documents[1]).not.toBe(first.documents[1]);
    parsePolicyFiles([file("b", "{}")], readings);
    expect([...readings.keys()]).toEqual(["b.yaml"]);
  });
});

function file(name: string, spec: string) {
  const metadata = `{name: ${name}, namespace: shop}`;
  const text = `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: ${metadata}\nspec: ${spec}\n`;
  return { path: `${name}.yaml`, text };
}
