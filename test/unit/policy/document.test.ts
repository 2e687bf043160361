import { describe, expect, test } from "vitest";
import { parseYaml } from "../../../src/config/yaml.ts";
import { type Fault, formatFault, locatePlain } from "../../../src/core/located.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../../../src/policy/document.ts";

function read(spec: unknown, metadata: object = { name: "p", namespace: "shop" }) {
  const document = { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec };
  return readDocument(JSON.parse(JSON.stringify(document)));
}

function readDocument(document: unknown): { policy: AuthorizationPolicy | null; faults: string[] } {
  const faults: Fault[] = [];
  const policy = parseAuthorizationPolicy(locatePlain(document), { file: "p.yaml" }, faults);
  return { policy, faults: faults.map((fault) => formatFault(fault).replace("p.yaml: ", "")) };
}

function negated(name: string): string {
  return `not${name[0]!.toUpperCase()}${name.slice(1)}`;
}

const rule = (fields: object): object => ({ rules: [fields] });
const source = (fields: object): object => rule({ from: [{ source: fields }] });
const operation = (fields: object): object => rule({ to: [{ operation: fields }] });
const condition = (key: unknown, rest: object = { values: ["v"] }): object => rule({ when: [{ key, ...rest }] });

// Each case of Istio's TestValidateAuthorizationPolicy (pkg/config/validation/validation_test.go), by its name there,
// and what its validation in pkg/config/security says besides.
describe("what Istio's validation accepts", () => {
  test.each<[string, unknown]>([
    ["allow-rules-nil", {}],
    ["allow-rules-nil, said", { action: "ALLOW" }],
    ["an empty list of rules, which allows nothing", { rules: [] }],
    ["an empty rule, which matches everything", { rules: [{}] }],
    ["selector-empty-value", { selector: { matchLabels: { app: "", version: "v1" } } }],
    ["selector-empty-labels", { selector: {} }],
    ["good serviceAccounts", source({ serviceAccounts: ["ns1/sa1", "sa2"] })],
    ["serviceAccounts with trustDomains", source({ serviceAccounts: ["sa"], trustDomains: ["td"] })],
    ["L7DenyWithTo", { action: "DENY", ...operation({ methods: ["GET", "DELETE"] }) }],
    ["L7DenyWithFromAndToWithPort", { action: "DENY", ...operation({ ports: ["8080"], methods: ["GET"] }) }],
    ["ports with leading zeros, as strconv reads them", operation({ ports: ["0080", "0", "65535"] })],
    ["an unmasked range", source({ ipBlocks: ["10.1.2.3/8"] })],
    ["an IPv6 range", source({ notRemoteIpBlocks: ["2001:db8::/32"] })],
    ["a wildcard in the middle of a principal", source({ principals: ["cluster.local/ns/*/sa/web"] })],
    ["paths that are no templates", operation({ paths: ["*", "*/b", "*.js", "/a b"] })],
    ["path templates", operation({ paths: ["/a/{*}", "/a/{**}", "/{*}/b/{**}", "/a/{**}/", "/{**}"] })],
    ["trust domains with one star at an end", source({ trustDomains: ["*", "a*", "*b"] })],
    ["a condition on :authority", condition("request.headers[:authority]", { values: ["v1", "v2"] })],
    ["AUDIT", { action: "AUDIT", ...operation({ methods: ["GET"] }) }],
    ["AUDIT without rules, which marks nothing", { action: "AUDIT" }],
    ["a condition with notValues alone", condition("source.principal", { notValues: ["a"] })],
  ])("%s", (_name, spec) => {
    expect(read(spec).faults).toEqual([]);
  });

  test("v1beta1 documents, and what kubectl prints besides what a person writes", () => {
    const { policy, faults } = readDocument({
      apiVersion: "security.istio.io/v1beta1",
      kind: "AuthorizationPolicy",
      metadata: {
        name: "p",
        namespace: "shop",
        uid: "x",
        resourceVersion: "1",
        creationTimestamp: "2026-01-01T00:00:00Z",
        generation: 1,
        labels: { team: "a" },
        annotations: { "istio.io/dry-run": "false", other: "" },
        managedFields: [{ manager: "kubectl" }],
      },
      spec: {},
      status: { conditions: [] },
    });
    expect(faults).toEqual([]);
    expect(policy).toMatchObject({ id: "shop/p", action: "ALLOW", rules: [] });
  });
});

describe("what Istio's validation refuses, and where we say it", () => {
  test.each<[string, unknown, string]>([
    ["CUSTOM without a provider", { action: "CUSTOM", rules: [{}] }, "spec.provider: is required by the action CUSTOM"],
    [
      "CUSTOM without rules",
      { action: "CUSTOM", provider: { name: "x" } },
      "a CUSTOM policy without rules never matches",
    ],
    ["a provider beside ALLOW", { provider: { name: "x" }, rules: [{}] }, "spec.provider: is for CUSTOM alone"],
    ["a provider without a name", { action: "CUSTOM", provider: {}, rules: [{}] }, "spec.provider.name: is required"],
    ["deny-rules-nil", { action: "DENY" }, "spec: a DENY policy without rules never matches"],
    ["deny with an empty list", { action: "DENY", rules: [] }, "spec: a DENY policy without rules never matches"],
    ["rule nil", { rules: [null] }, "spec.rules[0]: expected a map, found nothing (null)"],
    ["from-empty", rule({ from: [] }), "spec.rules[0].from: must not be an empty list"],
    ["from nil", rule({ from: [null] }), "spec.rules[0].from[0]: expected a map"],
    ["source-nil", rule({ from: [{}] }), "spec.rules[0].from[0].source: is required"],
    ["source-empty", source({}), "spec.rules[0].from[0].source: must not be empty"],
    ["to-empty", rule({ to: [] }), "spec.rules[0].to: must not be an empty list"],
    ["operation-nil", rule({ to: [{}] }), "spec.rules[0].to[0].operation: is required"],
    ["operation-empty", operation({}), "spec.rules[0].to[0].operation: must not be empty"],
    ["selector-empty-key", { selector: { matchLabels: { "": "v1" } } }, "a label's name must not be empty"],
    ["selector-wildcard-value", { selector: { matchLabels: { app: "httpbin-*" } } }, "wildcards have no meaning"],
    ["selector-wildcard-key", { selector: { matchLabels: { "app-*": "httpbin" } } }, "wildcards have no meaning"],
    ["serviceAccounts and namespaces", source({ serviceAccounts: ["a/b"], namespaces: ["a"] }), "cannot stand beside"],
    ["serviceAccounts and notPrincipals", source({ serviceAccounts: ["a/b"], notPrincipals: ["a"] }), "cannot stand"],
    ["a wildcard in serviceAccounts", source({ serviceAccounts: ["a/*"] }), "serviceAccounts[0]: expected serviceAcc"],
    ["serviceAccounts with two slashes", source({ serviceAccounts: ["a/b/c"] }), "expected serviceAccount or"],
    ["serviceAccounts without account", source({ notServiceAccounts: ["a/"] }), "expected serviceAccount or"],
    ["17 serviceAccounts", source({ serviceAccounts: Array(17).fill("a") }), "may not have more than 16 values"],
    ["a trust domain with a slash", source({ trustDomains: ["a/b"] }), "trustDomains[0]: expected a trust domain"],
    ["a trust domain with an inner star", source({ trustDomains: ["a*b"] }), "expected a trust domain"],
    ["a trust domain with two stars", source({ notTrustDomains: ["*a*"] }), "expected a trust domain"],
    ["invalid ip in ipBlocks", source({ ipBlocks: ["1.2.3.4", "ip1"] }), "ipBlocks[1]: expected an IP address"],
    ["invalid ip in notRemoteIpBlocks", source({ notRemoteIpBlocks: ["1.2.3.4/33"] }), "expected an IP address"],
    ["invalid port", operation({ ports: ["80", "port1"] }), "ports[1]: expected a port from 0 to 65535"],
    ["a port over 65535", operation({ notPorts: ["65536"] }), "expected a port from 0 to 65535"],
    ["a negative port", operation({ ports: ["-1"] }), "expected a port from 0 to 65535"],
    [
      "a port as a number",
      operation({ ports: [80] }),
      'ports[0]: expected a string, found the number 80 (as a string it is written "80")',
    ],
    ["condition-key-missing", rule({ when: [{ values: ["v"] }] }), "spec.rules[0].when[0].key: is required"],
    ["condition-key-empty", condition(""), "spec.rules[0].when[0].key: must not be empty"],
    ["condition-value-missing", condition("source.principal", {}), "when[0]: needs `values` or `notValues`"],
    ["condition-value-invalid", condition("source.ip", { values: ["a.b.c.d"] }), "when[0].values[0]: expected an IP"],
    ["condition-notValue-invalid", condition("source.ip", { notValues: ["a.b.c.d"] }), "notValues[0]: expected an IP"],
    ["a destination's address", condition("destination.ip", { values: ["x"] }), "values[0]: expected an IP"],
    ["a caller's own address", condition("remote.ip", { notValues: ["x"] }), "notValues[0]: expected an IP"],
    ["condition-unknown", condition("key1"), 'when[0].key: unknown attribute "key1"'],
    ["a condition's port", condition("destination.port", { values: ["x"] }), "expected a port"],
    ["value-empty", condition("source.principal", { values: ["v1", ""] }), "values[1]: must not be empty"],
    ["a header without brackets", condition("request.headers.x"), "expected request.headers[NAME]"],
    ["a header without name", condition("request.headers[]"), "expected request.headers[NAME]"],
    ["braces outside a template", operation({ paths: ["/a/{id}"] }), "has { or } beyond the templates"],
    ["a template inside a segment", operation({ paths: ["/a/{*}.txt"] }), "expected a path template of whole segments"],
    ["a star beside a template", operation({ paths: ["/*/baz/{*}"] }), "expected a path template of whole segments"],
    [
      "two stars beside a template",
      operation({ paths: ["/**/baz/{*}"] }),
      "expected a path template of whole segments",
    ],
    ["{**} before another template", operation({ paths: ["/{**}/foo/{*}"] }), "{**} must be the last template"],
    ["two {**}", operation({ notPaths: ["/{**}/foo/{**}"] }), "{**} must be the last template"],
    ["an empty segment in a template", operation({ paths: ["/a//{*}"] }), "expected a path template"],
    ["a template without its slash", operation({ paths: ["a/{*}"] }), "expected a path template"],
    ["dry-run-invalid-value", {}, 'metadata.annotations["istio.io/dry-run"]: expected "true" or "false"'],
  ])("%s", (name, spec, message) => {
    const metadata = { name: "p", namespace: "shop", annotations: { "istio.io/dry-run": "foo" } };
    const { policy, faults } = name === "dry-run-invalid-value" ? read(spec, metadata) : read(spec);
    expect(policy).toBeNull();
    expect(faults.join("\n")).toContain(message);
  });

  const LISTS = ["principals", "namespaces", "ipBlocks", "remoteIpBlocks", "trustDomains", "serviceAccounts"];
  const OPERATION_LISTS = ["methods", "paths", "hosts", "ports"];

  test.each([...LISTS, ...LISTS.map(negated)])("an empty list or value in %s never means everything", (name) => {
    const other = name.toLowerCase().includes("accounts") ? { ipBlocks: ["1.1.1.1"] } : { namespaces: ["a"] };
    const field = `spec.rules[0].from[0].source.${name}`;
    expect(read(source({ ...other, [name]: [] })).faults[0]).toContain(`${field}: must not be an empty list`);
    expect(read(source({ ...other, [name]: [""] })).faults[0]).toContain(`${field}[0]: must not be empty`);
    expect(read(source({ ...other, [name]: null })).faults[0]).toContain(`${field}: expected a list`);
  });

  test.each([...OPERATION_LISTS, ...OPERATION_LISTS.map(negated)])("nor in %s", (name) => {
    const other = name.toLowerCase().includes("ports") ? { hosts: ["a"] } : { ports: ["1"] };
    const field = `spec.rules[0].to[0].operation.${name}`;
    expect(read(operation({ ...other, [name]: [] })).faults[0]).toContain(`${field}: must not be an empty list`);
    expect(read(operation({ ...other, [name]: [""] })).faults[0]).toContain(`${field}[0]: must not be empty`);
    expect(read(operation({ ...other, [name]: null })).faults[0]).toContain(`${field}: expected a list`);
  });
});

describe("where we refuse what Istio takes", () => {
  test.each<[string, unknown, string]>([
    // Istio's proto cannot tell an empty list from none, so there these mean "any".
    ["an empty `when`", rule({ when: [] }), "spec.rules[0].when: must not be an empty list"],
    [
      "empty values beside notValues",
      condition("source.ip", { values: [], notValues: ["1.1.1.1"] }),
      "when[0].values: must",
    ],
    // Istio would add the scheme a second time, and nothing would match.
    [
      "a principal with its scheme",
      source({ principals: ["spiffe://a/ns/b/sa/c"] }),
      'without spiffe:// here: "a/ns/b',
    ],
    ["an IPv4-mapped range", source({ notIpBlocks: ["::ffff:10.0.0.0/104"] }), "which never matches"],
    ["no spec at all", undefined, "spec: is required"],
    ["a null spec", null, "spec: expected a map, found nothing (null)"],
    [
      "513 rules",
      { rules: Array.from({ length: 513 }, () => ({})) },
      "spec.rules: has 513 rules; a policy may have 512",
    ],
  ])("%s", (_name, spec, message) => {
    const { policy, faults } = read(spec);
    expect(policy).toBeNull();
    expect(faults.join("\n")).toContain(message);
  });
});

// What a later version reads. Enforcing such a policy as if the field were not there would be a lie.
describe("what is not yet supported is refused by its field", () => {
  test.each<[string, unknown, string]>([
    [
      "two stars in requestPrincipals",
      source({ requestPrincipals: ["*/*"] }),
      "expected at most one * in issuer/subject",
    ],
    ["claims without a name", condition("request.auth.claims"), "expected request.auth.claims[NAME]"],
    ["claims with an empty name", condition("request.auth.claims[]"), "expected request.auth.claims[NAME]"],
    ["claims with a dot", condition("request.auth.claims.iss"), "expected request.auth.claims[NAME]"],
    [
      "an attribute of tokens that is none",
      condition("request.auth.audience"),
      "did you mean `request.auth.audiences`?",
    ],
    ["Envoy's metadata", condition("experimental.envoy.filters.a.b[c]"), "is Envoy's own and not supported"],
    ["the raw path", condition("request.headers[:path]"), "request.headers[:path] is not supported"],
  ])("%s", (_name, spec, message) => {
    const { policy, faults } = read(spec);
    expect(policy).toBeNull();
    expect(faults.join("\n")).toContain(message);
  });

  test("AUDIT in a dry run, which would tell nothing", () => {
    const { policy, faults } = read({ action: "AUDIT" }, { name: "p", annotations: { "istio.io/dry-run": "true" } });
    expect(policy).toBeNull();
    expect(faults).toEqual([
      expect.stringContaining('metadata.annotations["istio.io/dry-run"]: is for ALLOW and DENY'),
    ]);
  });
});

test.each([
  [{ "istio.io/dry-run": "true" }, "DENY", true],
  [{ "istio.io/dry-run": "1" }, "ALLOW", true],
  [{ "istio.io/dry-run": "T" }, "ALLOW", true],
  [{ "istio.io/dry-run": "True" }, "ALLOW", true],
  [{ "istio.io/dry-run": "false" }, "DENY", false],
  [{ "istio.io/dry-run": "0" }, "AUDIT", false],
  [{}, "ALLOW", false],
])("the annotations %j on %s: in a dry run %s", (annotations, action, isDryRun) => {
  const { policy, faults } = read({ action, rules: [{}] }, { name: "p", annotations });
  expect(faults).toEqual([]);
  expect(policy).toMatchObject({ action, isDryRun });
});

// Read without it, a DENY policy for one gateway would be one for all workloads of the namespace.
describe("what names gateways and waypoints is refused, whatever it names", () => {
  const kinds = ["Service", "ServiceEntry", "Gateway", "GatewayClass"];
  test.each(kinds.flatMap((kind) => [{ targetRefs: [{ kind, name: "x" }] }, { targetRef: { kind, name: "x" } }]))(
    "%j",
    (target) => {
      const [field] = Object.keys(target);
      const { policy, faults } = read({ ...target, action: "DENY", rules: [{}] });
      expect(policy).toBeNull();
      expect(faults).toEqual([expect.stringContaining(`spec.${field}: is for gateways and waypoints`)]);
    },
  );

  test("an empty list of them too", () => {
    expect(read({ targetRefs: [] }).faults).toHaveLength(1);
  });
});

describe("mistyped documents", () => {
  test.each<[string, object, string]>([
    [
      "a field of the source",
      source({ principal: ["a"] }),
      "source.principal: unknown field; did you mean `principals`?",
    ],
    ["a field of the rule", rule({ form: [] }), "spec.rules[0].form: unknown field; did you mean `from`?"],
    ["a field of the spec", { rule: [] }, "spec.rule: unknown field; did you mean `rules`?"],
    [
      "an action",
      { action: "Deny", rules: [{}] },
      'expected one of ALLOW, DENY, AUDIT, CUSTOM, found "Deny"; did you mean `DENY`?',
    ],
    ["an attribute", condition("source.namespaces"), "did you mean `source.namespace`?"],
    ["matchExpressions", { selector: { matchExpressions: [] } }, "unknown field; known here: matchLabels"],
    ["rules as a map", { rules: {} }, "spec.rules: expected a list, found a map"],
  ])("%s", (_name, spec, message) => {
    expect(read(spec).faults.join("\n")).toContain(message);
  });

  test.each<[string, object, string]>([
    ["no name", { namespace: "a" }, "metadata.name: is required"],
    ["a name with a slash", { name: "a/b" }, "metadata.name: expected a Kubernetes name"],
    ["a namespace with a dot", { name: "a", namespace: "a.b" }, "metadata.namespace: expected a namespace"],
    ["an unknown field", { name: "a", lables: {} }, "metadata.lables: unknown field; did you mean `labels`?"],
  ])("%s in metadata", (_name, metadata, message) => {
    expect(read({}, metadata).faults.join("\n")).toContain(message);
  });

  test.each<[string, object, string]>([
    ["apiVersion", { apiVersion: "security.istio.io/v2" }, "apiVersion: expected one of security.istio.io/v1,"],
    ["kind", { kind: "Authorizationpolicy" }, "did you mean `AuthorizationPolicy`?"],
  ])("another %s", (_name, change, message) => {
    const document = {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "a" },
      spec: {},
    };
    expect(readDocument({ ...document, ...change }).faults.join("\n")).toContain(message);
  });

  test.each([null, 7, "text", []])("%j is no document", (document) => {
    expect(readDocument(document).faults[0]).toContain("expected a map");
  });
});

test("a document knows where its rules and lists were written", () => {
  const text = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec:
  rules:
    - to:
        - operation:
            methods: ["GET"]
    - from:
        - source:
            notNamespaces:
              - a
              - ""
`;
  const faults: Fault[] = [];
  const [located] = parseYaml(text.replace('- ""', "- b"), "p.yaml", faults);
  const policy = parseAuthorizationPolicy(located!, { file: "p.yaml" }, faults);
  expect(policy?.source).toEqual({ file: "p.yaml", line: 1 });
  expect(policy?.rules.map((each) => each.source.line)).toEqual([6, 9]);
  expect(policy?.rules[1]?.from?.[0]?.[0]).toEqual({
    attribute: "source.namespace",
    header: null,
    claim: null,
    isNegated: true,
    values: ["a", "b"],
    field: "spec.rules[1].from[0].source.notNamespaces",
    line: 12,
  });
  const [faulty] = parseYaml(text, "p.yaml", faults);
  parseAuthorizationPolicy(faulty!, { file: "p.yaml" }, faults);
  expect(faults.map(formatFault)).toEqual([
    "p.yaml:13:17: spec.rules[1].from[0].source.notNamespaces[1]: must not be empty",
  ]);
});

test("a document comes over the wire as it was", () => {
  const { policy } = read({ selector: { matchLabels: { app: "a" } }, ...source({ principals: ["x"] }) });
  const again = readDocument(JSON.parse(JSON.stringify(policy?.raw)));
  expect(again.policy).toEqual(policy);
});

test("what a document leaves out is said to be none, and 512 rules are not too many", () => {
  const { policy } = readDocument({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "p" },
    spec: { rules: Array.from({ length: 512 }, () => ({})) },
  });
  expect(policy).toMatchObject({ namespace: "default", id: "default/p", action: "ALLOW", provider: null, terms: null });
  expect(policy?.isDryRun).toBe(false);
  expect(policy?.source.line).toBeNull();
  expect(policy?.rules).toHaveLength(512);
  expect(policy?.rules[511]).toMatchObject({ index: 511, from: null, to: null, when: [], source: { line: null } });
});
