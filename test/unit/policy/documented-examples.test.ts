import { describe, expect, test } from "vitest";
import {
  ALLOW_ALL,
  type Asked,
  allow,
  decide,
  deny,
  from,
  isAllowed,
  policy,
  to,
  when,
} from "../../support/policy-world.ts";

// What Istio's documentation shows by example, each with what it says of it; docs/istio-sentences/ refers to these by name.

function principal(namespace: string, account: string): string {
  return `spiffe://cluster.local/ns/${namespace}/sa/${account}`;
}

const inNamespace = (namespace: string, labels: Record<string, string> = {}): Asked => ({
  workload: { namespace, labels },
});

function expectAllowed(documents: readonly object[], asked: Asked): void {
  expect(isAllowed(documents, asked), JSON.stringify(asked)).toBe(true);
}

function expectDenied(documents: readonly object[], asked: Asked): void {
  expect(isAllowed(documents, asked), JSON.stringify(asked)).toBe(false);
}

const ports = (...names: string[]): object => to({ ports: names });
const hosts = (...names: string[]): readonly object[] => [allow(to({ hosts: names }))];

/** The leave to read a service, for who fits `source`. */
function grant(app: string, source: object): object {
  const rules = [{ ...source, ...to({ methods: ["GET"] }) }];
  return policy(`${app}-viewer`, { selector: { matchLabels: { app } }, rules });
}

describe("ALLOW", () => {
  test("an account or a namespace, to read below a prefix or to post to one path: all else is denied", () => {
    const documents = [
      allow({
        from: [{ source: { principals: ["cluster.local/ns/shop/sa/curl"] } }, { source: { namespaces: ["test"] } }],
        to: [
          { operation: { methods: ["GET"], paths: ["/info*"] } },
          { operation: { methods: ["POST"], paths: ["/data"] } },
        ],
      }),
    ];
    for (const who of [principal("shop", "curl"), principal("test", "any")]) {
      expectAllowed(documents, { principal: who, path: "/info/1" });
      expectAllowed(documents, { principal: who, method: "POST", path: "/data" });
      expectDenied(documents, { principal: who, path: "/data" });
      expectDenied(documents, { principal: who, method: "POST", path: "/info" });
      expectDenied(documents, { principal: who, method: "POST", path: "/data/1" });
    }
    expectDenied(documents, { principal: principal("shop", "other"), path: "/info" });
    expectDenied(documents, { principal: null, path: "/info" });
  });

  test("a policy without action is one that allows", () => {
    const documents = [policy("p", { rules: [to({ methods: ["GET"] })] })];
    expectAllowed(documents, { method: "GET" });
    expectDenied(documents, { method: "POST" });
  });

  test("nothing, in a namespace: all of its workloads are closed, and no others", () => {
    const nothing = policy("far/allow-nothing", {});
    const open: Asked["settings"] = { defaultAction: "ALLOW" };
    expectDenied([nothing], { ...inNamespace("far"), settings: open });
    expectDenied([nothing], { ...inNamespace("far", { app: "x" }), settings: open, isTcp: true });
    expectAllowed([nothing], { ...inNamespace("near"), settings: open });
  });

  test("everything, in a namespace: all of its workloads are open, and no others", () => {
    const everything = policy("far/allow-all", { rules: [{}] });
    expectAllowed([everything], { ...inNamespace("far"), principal: null, method: "DELETE" });
    expectAllowed([everything], { ...inNamespace("far"), isTcp: true });
    expectDenied([everything], inNamespace("near"));
  });

  test("nothing, to workloads of a label: the others of the namespace stay as they were", () => {
    const documents = [policy("far/allow-nothing", { selector: { matchLabels: { app: "web" } } })];
    const open: Asked["settings"] = { defaultAction: "ALLOW" };
    expectDenied(documents, { ...inNamespace("far", { app: "web" }), settings: open });
    expectAllowed(documents, { ...inNamespace("far", { app: "api" }), settings: open });
    expectAllowed(documents, { ...inNamespace("near", { app: "web" }), settings: open });
  });

  test("a selector in the root namespace selects by label in every namespace", () => {
    const documents = [policy("istio-system/none", { selector: { matchLabels: { version: "v1" } } })];
    const settings: Asked["settings"] = { rootNamespace: "istio-system", defaultAction: "ALLOW" };
    for (const namespace of ["far", "near", "istio-system"]) {
      expectDenied(documents, { ...inNamespace(namespace, { version: "v1" }), settings });
      expectAllowed(documents, { ...inNamespace(namespace, { version: "v2" }), settings });
    }
  });

  test("policies add to each other: what one of them allows is allowed", () => {
    const documents = [
      policy("none", {}),
      policy("read", { rules: [to({ methods: ["GET"] })] }),
      policy("write", { rules: [to({ methods: ["POST"] })] }),
    ];
    expectAllowed(documents, { method: "GET" });
    expectAllowed(documents, { method: "POST" });
    expectDenied(documents, { method: "DELETE" });
  });

  test("everything makes further ALLOW policies useless, and DENY ones not", () => {
    const documents = [ALLOW_ALL, policy("read", { rules: [to({ methods: ["GET"] })] })];
    expectAllowed(documents, { method: "DELETE" });
    expectDenied([...documents, deny(to({ methods: ["DELETE"] }))], { method: "DELETE" });
  });

  test("one of two values of a header, by a condition", () => {
    const documents = [allow(when("request.headers[version]", { values: ["v1", "v2"] }))];
    expectAllowed(documents, { headers: { version: "v1" } });
    expectAllowed(documents, { headers: { version: "v2" } });
    expectDenied(documents, { headers: { version: "v3" } });
    expectDenied(documents, {});
  });

  test("without a source anybody, proved or not; with the principal `*` only who has proved one", () => {
    const anybody = [allow(to({ methods: ["GET", "POST"] }))];
    expectAllowed(anybody, { principal: null });
    expectAllowed(anybody, { principal: "spiffe://far.example/x" });
    expectDenied(anybody, { principal: null, method: "PUT" });
    const proved = [allow({ ...from({ principals: ["*"] }), ...to({ methods: ["GET", "POST"] }) })];
    expectAllowed(proved, {});
    expectDenied(proved, { principal: null });
    expectDenied(proved, { method: "PUT" });
  });

  test("one path alone, by what is allowed and by what is denied", () => {
    const allowed = [allow(to({ paths: ["/public"] }))];
    const denied = [ALLOW_ALL, deny(to({ notPaths: ["/public"] }))];
    for (const documents of [allowed, denied]) {
      expectAllowed(documents, { path: "/public" });
      for (const path of ["/", "/public/", "/Public", "/public/x", "//public"]) expectDenied(documents, { path });
    }
  });

  test("a walk from service to service, one grant after the other", () => {
    const nothing = policy("allow-nothing", {});
    const page = grant("page", {});
    const reviews = grant("reviews", from({ principals: ["cluster.local/ns/shop/sa/page"] }));
    const ratings = grant("ratings", from({ principals: ["cluster.local/ns/shop/sa/reviews"] }));
    const reached = (documents: readonly object[]): boolean[] =>
      [
        ["page", null],
        ["reviews", principal("shop", "page")],
        ["ratings", principal("shop", "reviews")],
      ].map(([app, caller]) => isAllowed(documents, { principal: caller!, ...inNamespace("shop", { app: app! }) }));
    expect(reached([nothing])).toEqual([false, false, false]);
    expect(reached([nothing, page])).toEqual([true, false, false]);
    expect(reached([nothing, page, reviews])).toEqual([true, true, false]);
    expect(reached([nothing, page, reviews, ratings])).toEqual([true, true, true]);
    expectDenied([nothing, page, reviews, ratings], {
      principal: principal("shop", "page"),
      ...inNamespace("shop", { app: "ratings" }),
    });
    expectDenied([nothing, page], { principal: null, method: "POST", ...inNamespace("shop", { app: "page" }) });
  });

  test("one caller of opaque bytes on one port", () => {
    const documents = [
      allow({ ...from({ principals: ["cluster.local/ns/shop/sa/ratings"] }), ...to({ ports: ["27017"] }) }),
    ];
    const ratings: Asked = { principal: principal("shop", "ratings"), isTcp: true };
    expectAllowed(documents, { ...ratings, port: 27017 });
    expectDenied(documents, { ...ratings, port: 27018 });
    expectDenied(documents, { principal: principal("shop", "web"), isTcp: true, port: 27017 });
    expectDenied(documents, { principal: null, isTcp: true, port: 27017 });
  });
});

describe("DENY", () => {
  const ALL_OPEN = policy("open", { rules: [{}] });

  test("a namespace's posts: nobody else's, and none of its other methods", () => {
    const documents = [ALL_OPEN, deny({ ...from({ namespaces: ["dev"] }), ...to({ methods: ["POST"] }) })];
    expectDenied(documents, { principal: principal("dev", "a"), method: "POST" });
    expectDenied(documents, { principal: principal("dev", "a"), method: "POST", ...inNamespace("shop", { app: "b" }) });
    expectAllowed(documents, { principal: principal("dev", "a"), method: "GET" });
    expectAllowed(documents, { principal: principal("prod", "a"), method: "POST" });
  });

  test("a method on a port: of opaque bytes all to that port, and none to others", () => {
    const documents = [ALL_OPEN, deny(to({ methods: ["POST"], ports: ["8080"] }))];
    expectDenied(documents, { method: "POST", port: 8080 });
    expectDenied(documents, { isTcp: true, port: 8080 });
    expectAllowed(documents, { method: "GET", port: 8080 });
    expectAllowed(documents, { method: "POST", port: 8081 });
    expectAllowed(documents, { isTcp: true, port: 8081 });
  });

  test("a method on any port: of opaque bytes all", () => {
    const documents = [ALL_OPEN, deny(to({ methods: ["POST"] }))];
    for (const port of [1, 8080, 65535]) expectDenied(documents, { isTcp: true, port });
    expectDenied(documents, { method: "POST" });
    expectAllowed(documents, { method: "GET" });
  });

  test("whoever is not of a namespace, and who has proved nothing is not", () => {
    const documents = [ALL_OPEN, deny(from({ notNamespaces: ["shop"] }))];
    expectDenied(documents, { principal: principal("far", "a") });
    expectDenied(documents, { principal: null });
    expectAllowed(documents, { principal: principal("shop", "a") });
  });

  test("everything, whatever is allowed beside it", () => {
    const documents = [ALL_OPEN, allow(to({ methods: ["GET"] })), deny({})];
    expectDenied(documents, {});
    expectDenied(documents, { isTcp: true });
    expectDenied(documents, { settings: { defaultAction: "ALLOW" } });
  });

  test("reads, unless a header has one value: a request without the header is denied", () => {
    const rule = { ...to({ methods: ["GET"] }), ...when("request.headers[x-token]", { notValues: ["admin"] }) };
    const documents = [ALL_OPEN, deny(rule)];
    expectDenied(documents, { headers: { "x-token": "guest" } });
    expectDenied(documents, {});
    expectAllowed(documents, { headers: { "x-token": "admin" } });
    expectAllowed(documents, { method: "POST" });
    const narrow = [allow(to({ paths: ["/ip"] })), deny(rule)];
    expect(decide(narrow, { path: "/ip", headers: { "x-token": "guest" } })).toMatchObject({ policy: "shop/deny" });
    expect(decide(narrow, { path: "/ip", headers: { "x-token": "admin" } })).toMatchObject({ policy: "shop/allow" });
    expect(decide(narrow, { path: "/get", headers: { "x-token": "admin" } })).toMatchObject({
      allow: false,
      reason: "no-allow-rule-matched",
    });
  });
});

const ofDomain = (domain: string): object => from({ principals: [`${domain}/ns/far/sa/curl`] });
const fromCurl = (namespace: string, settings: NonNullable<Asked["settings"]>): Asked => ({
  principal: `spiffe://new.example/ns/${namespace}/sa/curl`,
  settings,
});

describe("another trust domain for the mesh", () => {
  const moved: NonNullable<Asked["settings"]> = { trustDomain: "new.example" };
  const withAlias: NonNullable<Asked["settings"]> = { ...moved, trustDomainAliases: ["old.example"] };

  test("denies what policies grant to the old one", () => {
    expectDenied([allow(ofDomain("old.example"))], fromCurl("far", moved));
    expectDenied([allow(ofDomain("old.example"))], fromCurl("shop", moved));
    expectDenied([ALLOW_ALL, deny(ofDomain("new.example"))], fromCurl("far", moved));
  });

  test("with the old one as an alias is granted what that was, and no more", () => {
    expectAllowed([allow(ofDomain("old.example"))], fromCurl("far", withAlias));
    expectDenied([allow(ofDomain("old.example"))], fromCurl("shop", withAlias));
    expectDenied([ALLOW_ALL, deny(ofDomain("old.example"))], fromCurl("far", withAlias));
  });

  test("is meant by cluster.local, aliases too, whatever it is called", () => {
    for (const settings of [moved, withAlias]) {
      expectAllowed([allow(ofDomain("cluster.local"))], fromCurl("far", settings));
      expectDenied([allow(ofDomain("cluster.local"))], fromCurl("shop", settings));
    }
    const old: Asked = { principal: "spiffe://old.example/ns/far/sa/curl" };
    expectAllowed([allow(ofDomain("cluster.local"))], { ...old, settings: withAlias });
    expectDenied([allow(ofDomain("cluster.local"))], { ...old, settings: moved });
  });
});

describe("opaque bytes", () => {
  test("are allowed on the ports that a rule names, and on no other", () => {
    const documents = [allow(ports("9000", "9001"))];
    expectAllowed(documents, { isTcp: true, port: 9000 });
    expectAllowed(documents, { isTcp: true, port: 9001 });
    expectDenied(documents, { isTcp: true, port: 9002 });
  });

  test("are denied on all ports, where the one rule asks about requests", () => {
    const documents = [allow(to({ methods: ["GET"], ports: ["9000"] }))];
    expectDenied(documents, { isTcp: true, port: 9000 });
    expectDenied(documents, { isTcp: true, port: 9001 });
  });
});

describe("how texts match", () => {
  test.each(["test.abc.com", "test.abc.com.cn", "test.abc.org", "test.abc."])("a prefix takes %s", (host) => {
    expectAllowed(hosts("test.abc.*"), { host });
  });

  test.each(["test.abc", "test.abcd.com", "x.test.abc.com", ""])("and not %j", (host) => {
    expectDenied(hosts("test.abc.*"), { host });
  });

  test.each(["eng.abc.com", "test.eng.abc.com", ".abc.com"])("a suffix takes %s", (host) => {
    expectAllowed(hosts("*.abc.com"), { host });
  });

  test.each(["abc.com", "engabc.com", "eng.abc.com.cn", ""])("nor does it take %j", (host) => {
    expectDenied(hosts("*.abc.com"), { host });
  });

  test("presence takes what is not empty; a field that is not written takes what is empty as well", () => {
    expectAllowed(hosts("*"), { host: "a" });
    expectDenied(hosts("*"), { host: "" });
    expectAllowed([allow(to({ methods: ["GET"] }))], { host: "" });
  });

  test("a prefix or a suffix of a path", () => {
    const documents = [allow(to({ paths: ["/test/*", "*/info"] }))];
    expectAllowed(documents, { path: "/test/a/b" });
    expectAllowed(documents, { path: "/a/info" });
    expectDenied(documents, { path: "/tests" });
    expectDenied(documents, { path: "/info/a" });
  });

  test("a suffix of the host, one of two methods and none of a path's", () => {
    const documents = [allow(to({ hosts: ["*.example.com"], methods: ["GET", "HEAD"], notPaths: ["/admin*"] }))];
    expectAllowed(documents, { host: "a.example.com", method: "HEAD", path: "/" });
    expectDenied(documents, { host: "a.example.com", path: "/admin/x" });
    expectDenied(documents, { host: "a.example.com", method: "POST" });
    expectDenied(documents, { host: "example.org" });
  });

  test("two principals, two namespaces and one address excepted", () => {
    const source = {
      principals: ["cluster.local/ns/prod/sa/admin", "cluster.local/ns/test/sa/dev"],
      namespaces: ["prod", "test"],
      notIpBlocks: ["203.0.113.4"],
    };
    const documents = [allow(from(source))];
    expectAllowed(documents, { principal: principal("prod", "admin") });
    expectAllowed(documents, { principal: principal("test", "dev") });
    expectDenied(documents, { principal: principal("prod", "admin"), ip: "203.0.113.4" });
    expectDenied(documents, { principal: principal("prod", "dev") });
    expectDenied(documents, { principal: principal("stage", "admin") });
  });

  test.each([
    ["/foo/{*}", ["/foo/bar"], ["/foo/bar/baz"]],
    ["/foo/{**}/", ["/foo/bar/", "/foo//"], ["/foo/bar", "/foo/bar/baz.txt"]],
    ["/foo/{*}/bar/{**}", ["/foo/buzz/bar/", "/foo/buzz/bar/baz"], ["/foo/bar/baz", "/foo/a/b/bar/"]],
  ])("the template %s", (template, fits, fitsNot) => {
    for (const path of fits) expectAllowed([allow(to({ paths: [template] }))], { path });
    for (const path of fitsNot) expectDenied([allow(to({ paths: [template] }))], { path });
  });
});

describe("a field and the attribute that it stands for", () => {
  const PEERS: readonly Asked[] = [
    {},
    { principal: null },
    { principal: principal("far", "web") },
    { principal: "spiffe://partner.example/ns/shop/sa/web" },
    { ip: "10.1.2.3" },
    { remoteIp: "10.1.2.3" },
    { port: 80 },
  ];

  test.each<[string, string, readonly string[]]>([
    ["principals", "source.principal", ["cluster.local/ns/shop/sa/web", "partner.example/*"]],
    ["namespaces", "source.namespace", ["shop", "fa*"]],
    ["serviceAccounts", "source.serviceAccount", ["web", "far/web"]],
    ["trustDomains", "source.trustDomain", ["cluster.local", "partner.*"]],
    ["ipBlocks", "source.ip", ["10.1.2.3", "192.0.2.0/24"]],
    ["remoteIpBlocks", "remote.ip", ["10.1.2.3", "192.0.2.0/24"]],
  ])("%s decides as %s does, wanted and not wanted", (field, key, values) => {
    const not = `not${field[0]!.toUpperCase()}${field.slice(1)}`;
    const outcomes = PEERS.flatMap((asked) =>
      (["values", "notValues"] as const).map((kind) => {
        const byKey = isAllowed([allow(when(key, { [kind]: values }))], asked);
        expect(isAllowed([allow(from({ [kind === "values" ? field : not]: values }))], asked)).toBe(byKey);
        return byKey;
      }),
    );
    expect(new Set(outcomes).size).toBe(2);
  });

  test("a source, an operation or conditions that are not given take anything", () => {
    for (const asked of [...PEERS, { method: "X", path: "", host: "" }, { isTcp: true }])
      expectAllowed([ALLOW_ALL], asked);
    expectAllowed([allow(to({ ports: ["8080"] }))], { principal: null, method: "X", host: "" });
    expectAllowed([allow(from({ namespaces: ["shop"] }))], { port: 1, path: "*" });
    expectDenied([allow(to({ ports: ["8080"] }))], { port: 1 });
    expectDenied([allow(from({ namespaces: ["shop"] }))], { principal: null });
  });

  test.each([
    ["principals", from({ principals: ["*"] }), { principal: null }],
    ["namespaces", from({ namespaces: ["shop"] }), { principal: null }],
    ["service accounts", from({ serviceAccounts: ["web"] }), { principal: null }],
    ["trust domains", from({ trustDomains: ["*"] }), { principal: null }],
    ["source.principal", when("source.principal", { values: ["*"] }), { principal: null }],
    ["source.namespace", when("source.namespace", { values: ["*"] }), { principal: null }],
    ["the server name", when("connection.sni", { values: ["*"] }), { sni: null }],
  ])("%s need mutual TLS: of a caller without it they grant nothing", (_name, rule, asked) => {
    expectDenied([allow(rule)], asked);
  });
});
