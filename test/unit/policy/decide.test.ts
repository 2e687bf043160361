import { describe, expect, test } from "vitest";
import { compilePolicy } from "../../../src/policy/compile.ts";
import { bindPeer, decideBound, POLICY_NOT_LOADED } from "../../../src/policy/decide.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";
import {
  ALLOW_ALL,
  type Asked,
  allow,
  decide,
  deny,
  from,
  isAllowed,
  policy,
  questionOf,
  to,
  when,
} from "../../support/policy-world.ts";

const WEB = "cluster.local/ns/shop/sa/web";

function selecting(matchLabels: object): object[] {
  return [policy("p", { selector: { matchLabels }, rules: [{}] })];
}

describe("which policies decide", () => {
  test("no policy: the mesh's defaultAction, which is named", () => {
    const byDefault = { policy: "mesh/default", rule: null, reason: "default-action" };
    expect(decide([], {})).toEqual({ allow: false, ...byDefault });
    expect(decide([], { settings: { defaultAction: "ALLOW" } })).toEqual({ allow: true, ...byDefault });
  });

  test("DENY policies alone leave the rest to defaultAction", () => {
    const documents = [deny(to({ paths: ["/admin"] }))];
    expect(decide(documents, { path: "/" })).toMatchObject({ allow: false, policy: "mesh/default" });
    expect(decide(documents, { path: "/", settings: { defaultAction: "ALLOW" } }).allow).toBe(true);
  });

  test("an ALLOW policy without rules allows nothing, even where the default would", () => {
    const nothing = { allow: false, policy: null, rule: null, reason: "no-allow-rule-matched" };
    for (const spec of [{}, { rules: [] }, { action: "ALLOW" }])
      expect(decide([policy("nothing", spec)], { settings: { defaultAction: "ALLOW" } })).toEqual(nothing);
  });

  test("an empty rule matches everything", () => {
    const allowed = { allow: true, policy: "shop/allow-all", rule: 0, reason: "allow-rule-matched" };
    expect(decide([ALLOW_ALL], { principal: null })).toEqual(allowed);
    expect(decide([ALLOW_ALL], { isTcp: true })).toEqual(allowed);
    const denied = { allow: false, policy: "shop/deny", rule: 0, reason: "deny-rule-matched" };
    expect(decide([ALLOW_ALL, deny({})], {})).toEqual(denied);
    expect(decide([ALLOW_ALL, deny({})], { isTcp: true })).toEqual(denied);
  });

  test("DENY goes before ALLOW, in whichever order they stand", () => {
    const documents = [ALLOW_ALL, deny(to({ methods: ["DELETE"] }))];
    for (const each of [documents, documents.toReversed()]) {
      expect(decide(each, { method: "DELETE" })).toMatchObject({ allow: false, policy: "shop/deny", rule: 0 });
      expect(decide(each, { method: "GET" })).toMatchObject({ allow: true, policy: "shop/allow-all" });
    }
  });

  test("policies of the root namespace hold everywhere, others in their own namespace", () => {
    const root = policy("cardea-system/all", { rules: [{}] });
    const other = policy("payments/all", { rules: [{}] });
    expect(isAllowed([root], {})).toBe(true);
    expect(isAllowed([root], { settings: { rootNamespace: "istio-system" } })).toBe(false);
    expect(isAllowed([other], {})).toBe(false);
    const payments = { namespace: "payments", labels: {} };
    expect(isAllowed([other], { workload: payments })).toBe(true);
    expect(isAllowed([policy("shop/all", { rules: [{}] })], { workload: payments })).toBe(false);
  });

  test("a selector wants every label, with its value", () => {
    const workload = { namespace: "shop", labels: { app: "orders", version: "v1" } };
    expect(isAllowed(selecting({ app: "orders" }), { workload })).toBe(true);
    expect(isAllowed(selecting({ app: "orders", version: "v1" }), { workload })).toBe(true);
    expect(isAllowed(selecting({}), { workload })).toBe(true);
    expect(isAllowed(selecting({ app: "orders", version: "v2" }), { workload })).toBe(false);
    expect(isAllowed(selecting({ app: "orders", tier: "1" }), { workload })).toBe(false);
    expect(isAllowed(selecting({ toString: "x" }), { workload })).toBe(false);
    expect(isAllowed(selecting({ app: "" }), { workload: { namespace: "shop", labels: {} } })).toBe(false);
  });

  test("of several matches the one reported is the first by namespace, name and rule", () => {
    const any = { rules: [{}, {}] };
    const documents = ["shop/b", "shop/a", "cardea-system/z"].map((name) => policy(name, any));
    expect(decide(documents, {})).toMatchObject({ policy: "cardea-system/z", rule: 0 });
    expect(decide(documents.slice(0, 2), {})).toMatchObject({ policy: "shop/a", rule: 0 });
  });

  test("before a policy is loaded the answer is no", () => {
    expect(POLICY_NOT_LOADED).toEqual({ allow: false, policy: null, rule: null, reason: "policy-not-loaded" });
  });
});

describe("how rules are put together", () => {
  const twoSources = { from: [{ source: { principals: [WEB] } }, { source: { namespaces: ["ops"] } }] };
  const twoOperations = { to: [{ operation: { methods: ["GET"] } }, { operation: { paths: ["/health"] } }] };
  const ops = "spiffe://cluster.local/ns/ops/sa/x";

  test.each<[string, Asked, boolean]>([
    ["first source, first operation", {}, true],
    ["second source, second operation", { principal: ops, method: "POST", path: "/health" }, true],
    ["no source", { principal: "spiffe://cluster.local/ns/shop/sa/other" }, false],
    ["no operation", { method: "POST" }, false],
  ])("one source and one operation must fit: %s", (_name, asked, wanted) => {
    expect(isAllowed([allow({ ...twoSources, ...twoOperations })], asked)).toBe(wanted);
  });

  test("the fields of one source must all fit, and so must those of one operation", () => {
    const rule = {
      ...from({ principals: [WEB], ipBlocks: ["10.0.0.0/8"] }),
      ...to({ methods: ["GET"], paths: ["/a"] }),
    };
    expect(isAllowed([allow(rule)], { path: "/a" })).toBe(true);
    expect(isAllowed([allow(rule)], { path: "/a", ip: "11.0.0.1" })).toBe(false);
    expect(isAllowed([allow(rule)], { path: "/b" })).toBe(false);
    expect(isAllowed([allow(rule)], { path: "/a", method: "POST" })).toBe(false);
    // One half from each of two operations is not enough.
    const halves = allow({
      to: [{ operation: { methods: ["GET"], ports: ["1"] } }, { operation: { paths: ["/a"], ports: ["2"] } }],
    });
    expect(isAllowed([halves], { path: "/a", port: 2 })).toBe(true);
    expect(isAllowed([halves], { path: "/b", port: 2 })).toBe(false);
  });

  test("conditions must all hold", () => {
    const both = {
      when: [
        { key: "source.ip", values: ["10.0.0.0/8"], notValues: ["10.0.0.9"] },
        { key: "request.headers[x-role]", values: ["admin"] },
      ],
    };
    expect(isAllowed([allow(both)], { headers: { "x-role": "admin" } })).toBe(true);
    expect(isAllowed([allow(both)], {})).toBe(false);
    expect(isAllowed([allow(both)], { headers: { "x-role": "admin" }, ip: "11.0.0.1" })).toBe(false);
    expect(isAllowed([allow(both)], { headers: { "x-role": "admin" }, ip: "10.0.0.9" })).toBe(false);
  });

  test("a value both wanted and not wanted never matches", () => {
    expect(isAllowed([allow(to({ methods: ["GET"], notMethods: ["*"] }))], {})).toBe(false);
    expect(isAllowed([ALLOW_ALL, deny(to({ methods: ["GET"], notMethods: ["*"] }))], {})).toBe(true);
  });
});

describe("each attribute: what matches and what does not", () => {
  // [attribute, rule, what fits, what does not]
  const CASES: [string, object, Asked[], Asked[]][] = [
    [
      "methods are compared with case",
      to({ methods: ["GET", "P*", "*ETE"] }),
      [{ method: "GET" }, { method: "POST" }, { method: "P" }, { method: "DELETE" }],
      [{ method: "get" }, { method: "GETS" }, { method: "HEAD" }],
    ],
    [
      "paths: exact",
      to({ paths: ["/orders"] }),
      [{ path: "/orders" }],
      [{ path: "/orders/" }, { path: "/Orders" }, { path: "/orders/1" }, { path: "/" }, { path: "/order" }],
    ],
    [
      "paths: prefix",
      to({ paths: ["/orders/*"] }),
      [{ path: "/orders/" }, { path: "/orders/1/2" }],
      [{ path: "/orders" }, { path: "/x/orders/1" }],
    ],
    [
      "paths: suffix",
      to({ paths: ["*/info"] }),
      [{ path: "/info" }, { path: "/a/b/info" }],
      [{ path: "/info/" }, { path: "/xinfo" }],
    ],
    ["paths: presence", to({ paths: ["*"] }), [{ path: "/" }, { path: "*" }], [{ path: "" }]],
    [
      "paths: a star in the middle is a letter",
      to({ paths: ["/a/*/b"] }),
      [{ path: "/a/*/b" }],
      [{ path: "/a/x/b" }, { path: "/a//b" }],
    ],
    [
      "paths: with two stars only the first is a wildcard",
      to({ paths: ["*a*"] }),
      [{ path: "/a*" }],
      [{ path: "/a/b" }],
    ],
    [
      "paths: {*} is one segment",
      to({ paths: ["/foo/{*}"] }),
      [{ path: "/foo/bar" }, { path: "/foo/b=a;r" }],
      [{ path: "/foo/bar/baz" }, { path: "/foo/" }, { path: "/foo" }, { path: "/foo/b|r" }],
    ],
    [
      "paths: {**} is any number of segments",
      to({ paths: ["/foo/{*}/bar/{**}"] }),
      [{ path: "/foo/buzz/bar/" }, { path: "/foo/buzz/bar/baz/x" }],
      [{ path: "/foo/buzz/bar" }, { path: "/foo/bar/baz" }, { path: "/foo/a/b/bar/" }],
    ],
    [
      "paths: {**} before a slash",
      to({ paths: ["/foo/{**}/"] }),
      [{ path: "/foo/bar/" }, { path: "/foo//" }, { path: "/foo/bar/baz/" }],
      [{ path: "/foo/bar" }, { path: "/foo/" }],
    ],
    [
      "hosts are compared without case, port and all",
      to({ hosts: ["Example.com", "*.example.org", "api.*"] }),
      [{ host: "example.COM" }, { host: "A.Example.org" }, { host: "api.x:8080" }],
      [{ host: "example.com:8080" }, { host: "example.org" }, { host: "a.example.com" }, { host: "" }],
    ],
    ["hosts: presence", to({ hosts: ["*"] }), [{ host: "x" }], [{ host: "" }]],
    ["ports", to({ ports: ["8080", "0090"] }), [{ port: 8080 }, { port: 90 }], [{ port: 80 }, { port: 808 }]],
    [
      "principals",
      from({ principals: [WEB, "cluster.local/ns/ops/*", "*/sa/robot"] }),
      [
        {},
        { principal: "spiffe://cluster.local/ns/ops/sa/any" },
        { principal: "spiffe://other.example/ns/x/sa/robot" },
      ],
      [
        { principal: null },
        { principal: "spiffe://cluster.local/ns/shop/sa/web2" },
        { principal: "spiffe://cluster.local/ns/shop/sa/we" },
        { principal: "spiffe://evil.example/ns/shop/sa/web" },
        { principal: "spiffe://xcluster.local/ns/shop/sa/web" },
      ],
    ],
    ["principals: presence", from({ principals: ["*"] }), [{}], [{ principal: null }]],
    [
      "namespaces come from the identity, of the shape of a workload's, in the mesh's own trust domain",
      from({ namespaces: ["shop", "team-*", "*-ops", "a*z", "ab*ba"] }),
      [
        {},
        { principal: "spiffe://cluster.local/ns/team-x/sa/y" },
        { principal: "spiffe://cluster.local/ns/db-ops/sa/y" },
        { principal: "spiffe://cluster.local/ns/abcz/sa/y" },
      ],
      [
        { principal: null },
        { principal: "spiffe://cluster.local/ns/shops/sa/web" },
        { principal: "spiffe://cluster.local/ns/team/sa/web" },
        { principal: "spiffe://cluster.local/ns/aba/sa/web" },
        { principal: "spiffe://other.example/ns/shop/sa/web" },
        { principal: "spiffe://cluster.local/ns/shop/region/x/sa/web" },
        { principal: "spiffe://cluster.local/x/ns/shop/sa/web" },
        { principal: "spiffe://cluster.local/ns/other/sa/shop" },
      ],
    ],
    [
      "namespaces: presence",
      from({ namespaces: ["*"] }),
      [{}],
      [{ principal: null }, { principal: "spiffe://x/ns/a/sa/b" }],
    ],
    [
      "service accounts: of the policy's own namespace, or of the one named",
      from({ serviceAccounts: ["web", "ops/robot"] }),
      [{}, { principal: "spiffe://cluster.local/ns/ops/sa/robot" }],
      [
        { principal: null },
        { principal: "spiffe://cluster.local/ns/ops/sa/web" },
        { principal: "spiffe://cluster.local/ns/shop/sa/web-2" },
        { principal: "spiffe://cluster.local/ns/shop/sa/web/x" },
        { principal: "spiffe://other.example/ns/shop/sa/web" },
      ],
    ],
    [
      "trust domains",
      from({ trustDomains: ["partner.*", "*.corp", "exact"] }),
      [
        { principal: "spiffe://partner.example/ns/a/sa/b" },
        { principal: "spiffe://x.corp/anything" },
        { principal: "spiffe://exact/a" },
      ],
      [{}, { principal: null }, { principal: "spiffe://exact2/a" }, { principal: "spiffe://exact" }],
    ],
    [
      "trust domains: presence",
      from({ trustDomains: ["*"] }),
      [{}, { principal: "spiffe://x" }],
      [{ principal: null }],
    ],
    [
      "trustDomains widen the namespaces beside them",
      from({ trustDomains: ["partner.example"], namespaces: ["shop"] }),
      [{ principal: "spiffe://partner.example/ns/shop/sa/web" }],
      [{}, { principal: "spiffe://partner.example/ns/other/sa/web" }, { principal: "spiffe://evil/ns/shop/sa/web" }],
    ],
    [
      "and the service accounts",
      from({ trustDomains: ["partner.example"], serviceAccounts: ["web"] }),
      [{ principal: "spiffe://partner.example/ns/shop/sa/web" }],
      [{}, { principal: "spiffe://partner.example/ns/shop/sa/x" }],
    ],
    [
      "ipBlocks: the address that the connection came from",
      from({ ipBlocks: ["10.0.0.0/8", "2001:db8::1"] }),
      [{ ip: "10.9.9.9" }, { ip: "::ffff:10.9.9.9" }, { ip: "2001:db8:0::1" }],
      [{ ip: "11.0.0.1", remoteIp: "10.0.0.1" }, { ip: "2001:db8::2" }, { ip: "" }, { ip: "unix" }],
    ],
    [
      "remoteIpBlocks: the original client's",
      from({ remoteIpBlocks: ["203.0.113.0/24"] }),
      [{ remoteIp: "203.0.113.7" }],
      [{ ip: "203.0.113.7", remoteIp: "10.0.0.1" }, { remoteIp: "" }],
    ],
    [
      "destination.ip",
      when("destination.ip", { values: ["10.0.0.2"] }),
      [{}],
      [{ destinationIp: "10.0.0.3" }, { destinationIp: "" }],
    ],
    ["destination.port", when("destination.port", { values: ["8080"] }), [{}], [{ port: 8081 }]],
    ["source.ip", when("source.ip", { values: ["10.0.0.1"] }), [{}], [{ ip: "10.0.0.2" }]],
    ["remote.ip", when("remote.ip", { values: ["10.0.0.1"] }), [{}], [{ remoteIp: "10.0.0.2" }]],
    [
      "source.namespace",
      when("source.namespace", { values: ["shop"] }),
      [{}],
      [{ principal: "spiffe://x/ns/shop/sa/a" }],
    ],
    ["source.principal", when("source.principal", { values: [WEB] }), [{}], [{ principal: null }]],
    ["source.serviceAccount", when("source.serviceAccount", { values: ["shop/web"] }), [{}], [{ principal: null }]],
    [
      "source.trustDomain",
      when("source.trustDomain", { values: ["cluster.local"] }),
      [{}],
      [{ principal: "spiffe://x/a" }],
    ],
    [
      "connection.sni",
      when("connection.sni", { values: ["orders.*", "*.shop"] }),
      [{ sni: "orders.x" }, { sni: "a.shop" }],
      [{ sni: null }, { sni: "" }, { sni: "Orders.x" }, { sni: "shop" }],
    ],
    [
      "connection.sni: presence",
      when("connection.sni", { values: ["*"] }),
      [{ sni: "x" }],
      [{ sni: null }, { sni: "" }],
    ],
    [
      "request.headers, whose names have no case and whose values do",
      when("request.headers[X-Role]", { values: ["admin", "team-*"] }),
      [{ headers: { "x-role": "admin" } }, { headers: { "x-role": "team-a" } }],
      [{}, { headers: { "x-role": "Admin" } }, { headers: { "x-role": "" } }, { headers: { "x-role": "admin,user" } }],
    ],
    [
      "request.headers: presence takes an empty value too",
      when("request.headers[x-role]", { values: ["*"] }),
      [{ headers: { "x-role": "" } }, { headers: { "x-role": "a" } }],
      [{}],
    ],
    ["request.headers[:method]", when("request.headers[:method]", { values: ["GET"] }), [{}], [{ method: "POST" }]],
    [
      "request.headers[:authority] and [host] are the host, here with case",
      when("request.headers[:authority]", { values: ["orders"] }),
      [{ host: "orders" }],
      [{ host: "Orders" }, { host: "" }, { host: "x", headers: { host: "orders" } }],
    ],
  ];

  test.each(CASES)("%s", (_name, rule, fits, fitsNot) => {
    for (const asked of fits) expect(isAllowed([allow(rule)], asked), JSON.stringify(asked)).toBe(true);
    for (const asked of fitsNot) expect(isAllowed([allow(rule)], asked), JSON.stringify(asked)).toBe(false);
  });

  test.each(CASES)(
    "%s: DENY denies exactly what ALLOW would allow, and more only where nothing is known",
    (_name, rule, fits) => {
      for (const asked of fits) expect(isAllowed([ALLOW_ALL, deny(rule)], asked), JSON.stringify(asked)).toBe(false);
    },
  );
});

describe("negated lists", () => {
  test.each<[string, object, Asked[], Asked[]]>([
    ["notMethods", to({ notMethods: ["DELETE", "P*"] }), [{}], [{ method: "DELETE" }, { method: "PUT" }]],
    ["notPaths", to({ notPaths: ["/admin*"] }), [{ path: "/" }], [{ path: "/admin" }, { path: "/admin/x" }]],
    ["notHosts", to({ notHosts: ["*.internal"] }), [{ host: "a" }], [{ host: "A.INTERNAL" }]],
    ["notPorts", to({ notPorts: ["9000"] }), [{}], [{ port: 9000 }]],
    ["notPrincipals", from({ notPrincipals: [WEB] }), [{ principal: null }, { principal: "spiffe://x/y" }], [{}]],
    ["notPrincipals of anybody", from({ notPrincipals: ["*"] }), [{ principal: null }], [{}]],
    ["notNamespaces", from({ notNamespaces: ["shop"] }), [{ principal: null }], [{}]],
    ["notServiceAccounts", from({ notServiceAccounts: ["web"] }), [{ principal: null }], [{}]],
    ["notTrustDomains", from({ notTrustDomains: ["cluster.local"] }), [{ principal: "spiffe://x/y" }], [{}]],
    ["notIpBlocks", from({ notIpBlocks: ["10.0.0.0/8"] }), [{ ip: "11.0.0.1" }], [{}, { ip: "::ffff:10.1.1.1" }]],
    ["notRemoteIpBlocks", from({ notRemoteIpBlocks: ["10.0.0.0/8"] }), [{ remoteIp: "1.1.1.1" }], [{}]],
    [
      "notValues of an absent header",
      when("request.headers[x-a]", { notValues: ["b"] }),
      [{}],
      [{ headers: { "x-a": "b" } }],
    ],
    ["notValues of sni", when("connection.sni", { notValues: ["a"] }), [{ sni: null }], [{ sni: "a" }]],
  ])("%s", (_name, rule, fits, fitsNot) => {
    for (const asked of fits) expect(isAllowed([allow(rule)], asked), JSON.stringify(asked)).toBe(true);
    for (const asked of fitsNot) expect(isAllowed([allow(rule)], asked), JSON.stringify(asked)).toBe(false);
  });
});

// Where we differ from Istio we only ever deny more: what grants is matched narrow, what takes away as wide as Istio does.
describe("identities of other trust domains and other shapes", () => {
  const FOREIGN = ["spiffe://far.example/ns/shop/sa/web", "spiffe://far.example/ns/shop/region/x/sa/web"];

  test.each(FOREIGN)("%s: a namespace grants it nothing, and denies it", (principal) => {
    for (const source of [{ namespaces: ["shop"] }, { namespaces: ["sh*"] }, { serviceAccounts: ["shop/web"] }]) {
      expect(isAllowed([allow(from(source))], { principal })).toBe(false);
      expect(isAllowed([ALLOW_ALL, deny(from(source))], { principal })).toBe(false);
    }
  });

  test.each(FOREIGN)("%s: an exception is no way around, neither from an ALLOW nor from a DENY", (principal) => {
    for (const source of [
      { notNamespaces: ["shop"] },
      { notNamespaces: ["s*p"] },
      { notServiceAccounts: ["shop/web"] },
    ]) {
      expect(isAllowed([allow(from(source))], { principal })).toBe(false);
      expect(isAllowed([ALLOW_ALL, deny(from(source))], { principal })).toBe(false);
    }
  });

  test("a pattern for namespaces ends with the namespace, where it grants; Istio's expression reads on", () => {
    // Istio writes `.*/ns/.*sa/.*`, which `/ns/other/sa/web` fits.
    const asked = { principal: "spiffe://cluster.local/ns/other/sa/web" };
    expect(isAllowed([allow(from({ namespaces: ["*sa", "*w*"] }))], asked)).toBe(false);
    expect(isAllowed([allow(from({ notNamespaces: ["*sa"] }))], asked)).toBe(false);
    expect(isAllowed([ALLOW_ALL, deny(from({ namespaces: ["*sa"] }))], asked)).toBe(false);
  });

  test("a trust domain that is called ns is no namespace step, where accounts are asked for", () => {
    const asked = { principal: "spiffe://ns/shop/sa/web" };
    expect(isAllowed([ALLOW_ALL, deny(from({ serviceAccounts: ["shop/web"] }))], asked)).toBe(true);
    // Istio's expression for namespaces does take it, and here it denies.
    expect(isAllowed([ALLOW_ALL, deny(from({ namespaces: ["shop"] }))], asked)).toBe(false);
    expect(isAllowed([allow(from({ namespaces: ["shop"] }))], asked)).toBe(false);
  });

  test("an alias is a name of the mesh's own trust domain", () => {
    const settings = { trustDomain: "new.example", trustDomainAliases: ["old.example"] };
    const asked = (domain: string): Asked => ({ principal: `spiffe://${domain}/ns/shop/sa/web`, settings });
    for (const rule of [
      from({ principals: ["cluster.local/ns/shop/sa/web"] }),
      from({ principals: ["old.example/ns/shop/sa/web"] }),
      from({ namespaces: ["shop"] }),
      from({ trustDomains: ["old.example"] }),
    ]) {
      expect(isAllowed([allow(rule)], asked("new.example"))).toBe(true);
      expect(isAllowed([allow(rule)], asked("old.example"))).toBe(true);
      // cluster.local only ever points at the local domain, and here that has another name.
      expect(isAllowed([allow(rule)], asked("cluster.local"))).toBe(false);
      expect(isAllowed([allow(rule)], asked("far.example"))).toBe(false);
    }
  });

  test("path templates of a DENY take any letter, so that an odd one is no way around", () => {
    const documents = [ALLOW_ALL, deny(to({ paths: ["/admin/{*}", "/x/{**}"] }))];
    for (const path of ["/admin/a|b", "/admin/a[b", "/x/a|b/c", "/x/"])
      expect(isAllowed(documents, { path })).toBe(false);
    expect(isAllowed([allow(to({ notPaths: ["/admin/{*}"] }))], { path: "/admin/a|b" })).toBe(false);
  });

  test("an address that is not known is in no range that grants and in every range that takes away", () => {
    const asked = { ip: "", remoteIp: "unix:", destinationIp: "?" };
    for (const key of ["source.ip", "remote.ip", "destination.ip"]) {
      expect(isAllowed([allow(when(key, { values: ["0.0.0.0/0", "::/0"] }))], asked)).toBe(false);
      expect(isAllowed([allow(when(key, { notValues: ["10.0.0.0/8"] }))], asked)).toBe(false);
      expect(isAllowed([ALLOW_ALL, deny(when(key, { values: ["10.0.0.0/8"] }))], asked)).toBe(false);
      expect(isAllowed([ALLOW_ALL, deny(when(key, { notValues: ["0.0.0.0/0"] }))], asked)).toBe(false);
    }
  });
});

// pilot/pkg/security/authz/builder/testdata/tcp/{allow,deny}-both-http-tcp: the rules by their number there,
// without those on request principals.
describe("HTTP attributes on bytes that are not HTTP", () => {
  const ns1 = { principal: "spiffe://cluster.local/ns/ns-1/sa/a", isTcp: true };
  const http = to({ methods: ["GET"] });

  test.each<[string, object, Asked, boolean]>([
    [
      "rule 1 of ALLOW: one HTTP field",
      { ...from({ namespaces: ["ns-1"] }), ...to({ ports: ["8080"], methods: ["GET"] }) },
      { ...ns1, port: 8080 },
      false,
    ],
    [
      "rule 3 of ALLOW: none",
      { ...from({ namespaces: ["ns-1"] }), ...to({ ports: ["80"] }) },
      { ...ns1, port: 80 },
      true,
    ],
    [
      "an HTTP field in another alternative",
      { to: [{ operation: { ports: ["80"] } }, { operation: { hosts: ["a"] } }] },
      { ...ns1, port: 80 },
      false,
    ],
    ["a negated HTTP field", to({ ports: ["80"], notPaths: ["/x"] }), { ...ns1, port: 80 }, false],
    [
      "an HTTP condition",
      { ...to({ ports: ["80"] }), ...when("request.headers[x]", { notValues: ["a"] }) },
      { ...ns1, port: 80 },
      false,
    ],
    ["a condition on the connection", when("connection.sni", { values: ["x"] }), { ...ns1, sni: "x" }, true],
  ])("ALLOW never matches with one: %s", (_name, rule, asked, wanted) => {
    expect(isAllowed([allow(rule)], asked)).toBe(wanted);
  });

  test.each<[string, object, Asked, boolean]>([
    ["rule 1: to HTTP alone denies everything", http, ns1, false],
    ["rule 3: from TCP, to HTTP", { ...from({ namespaces: ["ns-1"] }), ...http }, ns1, false],
    ["rule 3, somebody else", { ...from({ namespaces: ["ns-2"] }), ...http }, ns1, true],
    ["rule 5: HTTP and port", to({ ports: ["8080"], methods: ["GET"] }), { ...ns1, port: 8080 }, false],
    ["rule 5, another port", to({ ports: ["8080"], methods: ["GET"] }), { ...ns1, port: 80 }, true],
    ["rule 7: TCP alone", { ...from({ namespaces: ["ns-1"] }), ...to({ ports: ["80"] }) }, { ...ns1, port: 80 }, false],
    ["rule 8: an HTTP condition alone", when("request.headers[:method]", { values: ["GET"] }), ns1, false],
    ["rule 9: a TCP condition", when("destination.port", { values: ["80"] }), { ...ns1, port: 80 }, false],
    ["rule 9, another port", when("destination.port", { values: ["80"] }), { ...ns1, port: 81 }, true],
    ["a negated HTTP field is dropped too", to({ ports: ["80"], notMethods: ["GET"] }), { ...ns1, port: 80 }, false],
  ])("DENY drops it, and the rest must match: %s", (_name, rule, asked, wanted) => {
    expect(isAllowed([ALLOW_ALL, deny(rule)], asked)).toBe(wanted);
  });
});

test("deciding for a bound peer allocates no decision: the same rule gives the same object", () => {
  const compiled = compilePolicy([policyOf(ALLOW_ALL)], { namespace: "shop", labels: {} }, questionOf({}).settings);
  const { peer, request } = questionOf({});
  const bound = bindPeer(compiled, peer);
  expect(decideBound(bound, request!)).toBe(decideBound(bound, request!));
  expect(Object.isFrozen(decideBound(bound, request!))).toBe(true);
});
