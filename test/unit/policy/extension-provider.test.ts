import { expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { locatePlain } from "../../../src/core/located.ts";
import { EXTENSION_PROVIDERS, type ExtensionProvider, matchesHeader } from "../../../src/policy/extension-provider.ts";

// Each bound of a provider's fields from both of its sides.

const BASE = { service: "authz.shop.svc.cluster.local", port: 9000 };

/** The providers, or what is wrong with them. */
function read(...documents: readonly unknown[]): readonly ExtensionProvider[] | string {
  const faults: Parameters<typeof EXTENSION_PROVIDERS>[1]["faults"] = [];
  const providers = EXTENSION_PROVIDERS(locatePlain(documents), { file: "mesh.yaml", field: "providers", faults });
  if (providers !== undefined && faults.length === 0) return providers;
  expect(providers, "nothing is read of what has a fault").toBeUndefined();
  expect(faults.length).toBeGreaterThan(0);
  return faults.map(({ field, message }) => `${field} ${message}`).join("; ");
}

function taken(document: unknown): ExtensionProvider {
  const providers = read(document);
  if (typeof providers === "string") throw new Error(providers);
  expect(providers).toHaveLength(1);
  return providers[0]!;
}

const grpc = (fields: object, name = "a"): object => ({ name, envoyExtAuthzGrpc: { ...BASE, ...fields } });
const http = (fields: object, name = "a"): object => ({ name, envoyExtAuthzHttp: { ...BASE, ...fields } });
const body = (fields: object): object => ({ includeRequestBodyInCheck: { maxRequestBytes: 1, ...fields } });

const LONG = "a".repeat(63);
const HOST = `${`${LONG}.`.repeat(3)}${"a".repeat(61)}`;
const BYTES = LIMITS.extAuthzBodyBytesMax;

test.each<readonly [string, unknown, string]>([
  ["a name of 64", grpc({}, `${LONG}a`), "expected a name of a-z, 0-9 and -, found"],
  ["an empty name", grpc({}, ""), "providers[0].name"],
  ["a name that begins with -", grpc({}, "-a"), 'found "-a"'],
  ["a name that ends with -", grpc({}, "a-"), 'found "a-"'],
  ["a name of two lines", grpc({}, "a\nb"), "expected a name"],
  ["no name", { envoyExtAuthzGrpc: BASE }, "name is required"],
  ["a service of 254", grpc({ service: `${HOST}a` }), "expected a service like authz.tools.svc.cluster.local, found"],
  ["a service of two namespaces", grpc({ service: "a/b/c" }), 'found "a/b/c"'],
  ["a service that begins with -", grpc({ service: "-a" }), 'found "-a"'],
  ["a service that begins with a dot after its namespace", grpc({ service: "a/.b" }), 'found "a/.b"'],
  ["a service that ends with -", grpc({ service: "a-" }), 'found "a-"'],
  ["a service that ends with a dot", grpc({ service: "a." }), 'found "a."'],
  ["a service with a port", grpc({ service: "a:80" }), 'found "a:80"'],
  ["a namespace without a service", grpc({ service: "a/" }), 'found "a/"'],
  ["no service", { name: "a", envoyExtAuthzGrpc: { port: 1 } }, "service is required"],
  ["no port", { name: "a", envoyExtAuthzGrpc: { service: "a" } }, "port is required"],
  ["port 0", grpc({ port: 0 }), "providers[0].envoyExtAuthzGrpc.port"],
  ["port 65536", http({ port: 65_536 }), "providers[0].envoyExtAuthzHttp.port"],
  ["no time", grpc({ timeout: "0s" }), "is to lie between 1ms and 30s, the longest that a request waits"],
  ["less than a millisecond", grpc({ timeout: "999us" }), "1ms and 30s"],
  ["more than a request waits", grpc({ timeout: "30001ms" }), "1ms and 30s"],
  ["a time that is none", grpc({ timeout: "soon" }), "expected a duration"],
  ["failing open", http({ failOpen: true }), "must be false: what cannot be asked about is denied here"],
  ["failing open in words", grpc({ failOpen: "true" }), "failOpen"],
  ["a route chosen anew", grpc({ clearRouteCache: true }), "has no meaning here: the server's answer never changes"],
  ["a status of 399", grpc({ statusOnError: "399" }), 'expected the text of a status from 400 to 599, found "399"'],
  ["a status of 600", grpc({ statusOnError: "600" }), 'found "600"'],
  ["a status of four digits", grpc({ statusOnError: "4030" }), 'found "4030"'],
  ["a status that ends in one", grpc({ statusOnError: "1403" }), 'found "1403"'],
  ["no size of the body", grpc({ includeRequestBodyInCheck: {} }), "maxRequestBytes is required"],
  ["a body of no octet", grpc(body({ maxRequestBytes: 0 })), "maxRequestBytes"],
  ["more of a body than is held", grpc(body({ maxRequestBytes: BYTES + 1 })), "maxRequestBytes"],
  ["a partial body in words", grpc(body({ allowPartialMessage: "yes" })), "allowPartialMessage"],
  ["a path without a slash", http({ pathPrefix: "check" }), "expected a path that begins with /, found"],
  ["a slash that does not come first", http({ pathPrefix: "x/check" }), 'found "x/check"'],
  ["a path with a query", http({ pathPrefix: "/check?a" }), 'found "/check?a"'],
  ["a path of two lines", http({ pathPrefix: "/check\r\nx" }), "begins with /"],
  [
    "the old list",
    http({ includeHeadersInCheck: ["a"] }),
    "is deprecated by Istio: write includeRequestHeadersInCheck",
  ],
  ["a star alone", http({ headersToUpstreamOnAllow: ["*"] }), "does not take a single *; name a prefix or a suffix"],
  ["a star in the middle", http({ headersToDownstreamOnAllow: ["a*b"] }), "with a *, found"],
  ["two stars", http({ headersToDownstreamOnDeny: ["*a*"] }), 'found "*a*"'],
  ["a space before the name of a header", http({ includeRequestHeadersInCheck: [" a"] }), 'found " a"'],
  ["a space after the name of a header", http({ includeRequestHeadersInCheck: ["a "] }), 'found "a "'],
  ["an added header's bad name", http({ includeAdditionalHeadersInCheck: { "a b": "c" } }), '"a b" is no header'],
  ["an added name with a space before", http({ includeAdditionalHeadersInCheck: { " a": "c" } }), '" a" is no header'],
  ["an added header that is two", http({ includeAdditionalHeadersInCheck: { a: "b\r\nc: d" } }), '"a" is no header'],
  ["one that begins with a line", http({ includeAdditionalHeadersInCheck: { a: "\nb" } }), '"a" is no header'],
  ["one that ends with a line", http({ includeAdditionalHeadersInCheck: { a: "b\n" } }), '"a" is no header'],
  ["a bad one after a good one", http({ includeAdditionalHeadersInCheck: { a: "b", c: "\0" } }), '"c" is no header'],
  [
    "added headers that are a list",
    http({ includeAdditionalHeadersInCheck: ["a"] }),
    "includeAdditionalHeadersInCheck",
  ],
  ["HTTP's fields on gRPC", grpc({ pathPrefix: "/x" }), "pathPrefix"],
  ["neither kind", { name: "a" }, "needs either envoyExtAuthzGrpc or envoyExtAuthzHttp; others are not supported"],
  ["both kinds", { ...grpc({}), ...http({}) }, "needs either envoyExtAuthzGrpc or envoyExtAuthzHttp"],
  ["another kind", { name: "a", zipkin: {} }, "zipkin"],
])("refused: %s", (_name, document, message) => {
  expect(read(document)).toContain(message);
});

test("two of one name are refused, and two of different names are two", () => {
  expect(read(grpc({}), http({}, "b"), http({}))).toBe("providers has two providers of the name a");
  expect(read(grpc({}), http({}, "b"))).toMatchObject([{ name: "a" }, { name: "b" }]);
  expect(read()).toEqual([]);
});

test("what is left out is Istio's default, but for failing open", () => {
  const document = grpc({ failOpen: false });
  const provider = taken(document);
  expect(provider).toEqual({
    name: "a",
    protocol: "grpc",
    service: BASE.service,
    port: 9000,
    timeoutMs: 10_000,
    statusOnError: 403,
    body: null,
    http: {
      pathPrefix: "",
      requestHeaders: [],
      addedHeaders: [],
      toUpstreamOnAllow: [],
      toDownstreamOnAllow: [],
      toDownstreamOnDeny: null,
    },
  });
  expect(JSON.parse(JSON.stringify(provider))).toEqual(document);
});

test("what is written is what is held", () => {
  const lists = {
    includeRequestHeadersInCheck: ["X-In"],
    headersToUpstreamOnAllow: ["x-up-*"],
    headersToDownstreamOnAllow: ["*-Down"],
    headersToDownstreamOnDeny: ["x-deny", "x-why"],
  };
  const more = { pathPrefix: "/check/~a", includeAdditionalHeadersInCheck: { "X-Mesh": "", b: "\t ~é" } };
  const sent = body({ allowPartialMessage: true, packAsBytes: true });
  expect(taken(http({ ...lists, ...more, ...sent, timeout: "1ms", statusOnError: "503" }))).toEqual({
    name: "a",
    protocol: "http",
    service: BASE.service,
    port: 9000,
    timeoutMs: 1,
    statusOnError: 503,
    body: { bytesMax: 1, mayBePartial: true, isRaw: true },
    http: {
      pathPrefix: "/check/~a",
      requestHeaders: [{ kind: "exact", text: "x-in" }],
      addedHeaders: [
        ["X-Mesh", ""],
        ["b", "\t ~é"],
      ],
      toUpstreamOnAllow: [{ kind: "prefix", text: "x-up-" }],
      toDownstreamOnAllow: [{ kind: "suffix", text: "-down" }],
      toDownstreamOnDeny: [
        { kind: "exact", text: "x-deny" },
        { kind: "exact", text: "x-why" },
      ],
    },
  });
});

test.each<readonly [object, object]>([
  [grpc({}, LONG), { name: LONG }],
  [grpc({}, "0-9"), { name: "0-9" }],
  [grpc({ service: HOST }), { service: HOST }],
  [grpc({ service: "a" }), { service: "a" }],
  [grpc({ service: "Tools/Authz.example.com" }), { service: "authz.example.com" }],
  [grpc({ port: 1 }), { port: 1 }],
  [http({ port: 65_535 }), { port: 65_535 }],
  [grpc({ timeout: "30s" }), { timeoutMs: 30_000 }],
  [http({ statusOnError: "400" }), { statusOnError: 400 }],
  [http({ statusOnError: "599" }), { statusOnError: 599 }],
  [http({ pathPrefix: "/" }), { http: { pathPrefix: "/" } }],
  [grpc(body({ maxRequestBytes: BYTES })), { body: { bytesMax: BYTES, mayBePartial: false, isRaw: false } }],
  [grpc(body({ allowPartialMessage: false, packAsBytes: false })), { body: { mayBePartial: false, isRaw: false } }],
])("taken at the bound: %o", (document, wanted) => {
  expect(taken(document)).toMatchObject(wanted);
});

test("a header is passed on where one of the patterns is its name, its beginning or its end, and nowhere else", () => {
  const { toUpstreamOnAllow: patterns } = taken(http({ headersToUpstreamOnAllow: ["x-a", "b-*", "*-c"] })).http;
  expect(["x-a", "b-", "b-x", "x-c", "-c"].filter((name) => !matchesHeader(patterns, name))).toEqual([]);
  expect(["x-ab", "y-x-a", "a-b-", "c-", "-cc", "b", ""].filter((name) => matchesHeader(patterns, name))).toEqual([]);
  expect(matchesHeader([], "x-a")).toBe(false);
});
