import { describe, expect, test } from "vitest";
import { type Fault, locatePlain } from "../../../src/core/located.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../../src/policy/document.ts";
import { parsePort } from "../../../src/policy/values.ts";
import { from, policy, to, when } from "../../support/policy-world.ts";

// Where exactly what a rule may say ends: one step further must be refused, or it would mean something else.

function read(...rules: readonly object[]): {
  readonly policy: AuthorizationPolicy | null;
  readonly faults: readonly Fault[];
} {
  const faults: Fault[] = [];
  const document = locatePlain(policy("p", { rules }));
  return { policy: parseAuthorizationPolicy(document, { file: "p.yaml" }, faults), faults };
}

const accounts = (count: number, length = 1): readonly string[] =>
  Array.from({ length: count }, (_, i) => String.fromCharCode(97 + i).repeat(length));

describe("values", () => {
  test.each<[string, object]>([
    ["17 service accounts", from({ serviceAccounts: accounts(17) })],
    ["a service account of 321 characters", from({ serviceAccounts: accounts(1, 321) })],
    ["one good and one bad port", to({ ports: ["80", "80 "] })],
    ["a template with a letter that wildcards do not take", to({ paths: ["/{*}/a|b"] })],
    ["a template that does not begin with a slash", to({ paths: ["xa/{*}"] })],
    ["a template with two {**}", to({ paths: ["/{**}/a/{**}"] })],
    ["a port with something after it", to({ ports: ["80 "] })],
    ["a port with something before it", to({ ports: [" 80"] })],
    ["a port beyond the last", to({ ports: ["65536"] })],
    ["one bad and one good address", from({ ipBlocks: ["10.0.0.0/33", "10.0.0.1"] })],
  ])("refused: %s", (_name, rule) => {
    const { policy: refused, faults } = read(rule);
    expect(refused).toBeNull();
    expect(faults).toHaveLength(1);
  });

  test.each<[string, object]>([
    ["16 service accounts", from({ serviceAccounts: accounts(16) })],
    ["a service account of 320 characters", from({ serviceAccounts: accounts(1, 320) })],
    ["a {**} with text after it", to({ paths: ["/{*}/{**}/b"] })],
    ["17 methods", to({ methods: accounts(17) })],
    ["the first and the last port", to({ ports: ["0", "65535"] })],
  ])("taken: %s", (_name, rule) => {
    expect(read(rule).faults).toEqual([]);
  });

  test("every bad value of a list is told, not the first alone", () => {
    expect(read(to({ ports: ["x", "80", "y"] })).faults.map(({ field }) => field)).toEqual([
      "spec.rules[0].to[0].operation.ports[0]",
      "spec.rules[0].to[0].operation.ports[2]",
    ]);
  });

  test("a port is read as the number that it is", () => {
    expect(["0", "80", "00080", "65535"].map(parsePort)).toEqual([0, 80, 80, 65_535]);
    for (const text of ["", "-1", "8e1", "0x50", "65536", "12345678901"]) expect(() => parsePort(text), text).toThrow();
  });
});

describe("keys of conditions", () => {
  test.each([
    "request.headers[x-a]b",
    "arequest.headers[x-a]",
    "request.headers[]",
    "request.headers[x[a]",
    "request.auth.claimz[a]",
    "request.auth.claims",
    "request.auth.claims[]",
    "request.auth.claims[a]b",
    "request.auth.claimsa]",
    "request.auth.claims.a]",
    "source.principals",
  ])("refused: %s", (key) => {
    const { policy: refused, faults } = read(when(key, { values: ["x"] }));
    expect(refused).toBeNull();
    expect(faults).toHaveLength(1);
  });

  test.each<[string, readonly string[]]>([
    ["request.auth.claims[a]", ["a"]],
    ["request.auth.claims[a][b]", ["a", "b"]],
    // Brackets that are no steps belong to a name, as Istio reads it.
    ["request.auth.claims[a][b]x[c]", ["a][b]x[c"]],
    ["request.auth.claims[[a][b]", ["[a][b"]],
  ])("%s is read as its steps", (key, claim) => {
    expect(read(when(key, { values: ["x"] })).policy?.rules[0]?.when[0]).toMatchObject({ claim });
  });

  test("values are refused where one of two lists is bad", () => {
    for (const lists of [
      { values: ["80"], notValues: ["x"] },
      { values: ["x"], notValues: ["80"] },
    ])
      expect(read(when("destination.port", lists)).policy).toBeNull();
  });

  test("an unknown key is told what it may have meant, and nothing where it is like none", () => {
    expect(messageOf("source.principals")).toContain("did you mean `source.principal`?");
    expect(messageOf("request.header[name]")).toContain("did you mean `request.headers[name]`?");
    expect(messageOf("request.auth.claim[name]")).toContain("did you mean `request.auth.claims[name]`?");
    expect(messageOf("zzz")).toBe('unknown attribute "zzz"');
  });
});

function messageOf(key: string): string {
  return read(when(key, { values: ["x"] })).faults[0]!.message;
}

test("a policy may have 512 rules and no more", () => {
  const rules = Array.from({ length: 513 }, () => ({}));
  expect(read(...rules.slice(1)).policy?.rules).toHaveLength(512);
  expect(read(...rules).policy).toBeNull();
});

test("what is left out of a policy is null or the default, not absent", () => {
  const { policy: plain } = read({});
  expect(plain).toMatchObject({ isDryRun: false, source: { line: null } });
  expect(plain!.rules[0]).toStrictEqual({
    index: 0,
    from: null,
    to: null,
    when: [],
    source: { file: "p.yaml", line: null },
  });
  const clause = read(from({ namespaces: ["a"] })).policy!.rules[0]!.from![0]![0]!;
  expect(clause.line).toBeNull();
});

test("a policy without a namespace is of the namespace `default`", () => {
  const document = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "p" },
    spec: {},
  };
  const unnamed = parseAuthorizationPolicy(locatePlain(document), { file: "p.yaml" }, []);
  expect([unnamed?.namespace, unnamed?.id]).toEqual(["default", "default/p"]);
});
