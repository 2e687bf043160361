import { describe, expect, test } from "vitest";
import { checkValues } from "../../../src/policy/analysis/check/check-values.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";
import { ALLOW_ALL, allow, deny, from, policy, to, when } from "../../support/policy-world.ts";

const lint = (...documents: object[]) =>
  documents
    .map(policyOf)
    .flatMap(checkValues)
    .map((fault) => `${fault.field}: ${fault.message}`);

describe("what means something else than it seems to is a warning", () => {
  test.each<[string, object, string]>([
    ["a star in the middle", allow(to({ paths: ["/a/*/b"] })), 'paths[0]: "/a/*/b": a * is a wildcard only at'],
    ["two stars", allow(from({ principals: ["*a*"] })), "a * is a wildcard only at the very start or the very end"],
    ["a path without slash", allow(to({ paths: ["orders"] })), '"orders" never matches: a path begins with /'],
    ["a path with query", deny(to({ ports: ["1"], paths: ["/a?b"] })), "never matches: a path is matched without"],
    ["a method in lower case", allow(to({ methods: ["get"] })), '"get" is not "GET"'],
    ["a denied host without port", deny(to({ ports: ["1"], hosts: ["a.example"] })), 'add "a.example:*"'],
    ["an excepted host without port", allow(to({ notHosts: ["a.example"] })), 'add "a.example:*"'],
    ["a principal of no workload", allow(from({ principals: ["web"] })), '"web" is no workload\'s identity'],
    ["a DENY on HTTP alone", deny(to({ paths: ["/admin"] })), "spec.rules[0]: asks for HTTP attributes and no port"],
    ["a selector without labels", policy("p", { selector: {} }), "spec.selector: has no labels"],
  ])("%s", (_name, document, message) => {
    expect(lint(document).join("\n")).toContain(message);
  });

  test("a namespace that is not given", () => {
    const document = { ...policy("p", {}), metadata: { name: "p" } };
    expect(lint(document)).toEqual([
      "metadata.namespace: is not given, so it is default: the policy selects nothing elsewhere",
    ]);
  });
});

describe("what is as it seems is none", () => {
  test.each<[string, object]>([
    ["everything allowed", ALLOW_ALL],
    [
      "patterns at the ends",
      allow({ ...from({ principals: ["*/sa/web", "a*"] }), ...to({ paths: ["/a*", "*/b", "*"] }) }),
    ],
    ["a star inside a namespace", allow(from({ namespaces: ["a*b"] }))],
    ["templates", allow(to({ paths: ["/a/{*}/b"] }))],
    ["a DENY with a port", deny(to({ paths: ["/admin"], ports: ["80"] }))],
    ["a DENY of sources", deny(from({ namespaces: ["a"] }))],
    ["a denied host with every port", deny(to({ hosts: ["a", "a:*"], ports: ["1"] }).valueOf())],
    ["an allowed host", allow(to({ hosts: ["a.example"] }))],
    ["a condition", allow(when("source.ip", { values: ["10.0.0.0/8"] }))],
  ])("%s", (name, document) => {
    const warnings = lint(document);
    // The bare host is still warned of: a lint looks at one value at a time.
    expect(warnings).toHaveLength(name === "a denied host with every port" ? 1 : 0);
  });
});
