import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { parseSpiffeId, spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { pathPatterns } from "../../../src/policy/analysis/path-groups.ts";
import { type Observation, suggestPolicies, writeSuggestion } from "../../../src/policy/analysis/suggest.ts";
import { compilePolicy } from "../../../src/policy/compile.ts";
import { decideRequest, decideTcp } from "../../../src/policy/decide.ts";
import type { AuthorizationPolicy } from "../../../src/policy/document.ts";
import { DEFAULT_MESH_SETTINGS as settings } from "../../../src/policy/mesh-settings.ts";
import { corpusPath } from "../../support/corpus.ts";

const AT = Date.UTC(2026, 10, 22, 12);

/** e.g. `web → orders:8080 GET /orders`, in one namespace. */
function seen(text: string, count = 1): Observation {
  const [, caller, app, port, method, path] = /^(\S+) → (\S+):(\d+)(?: (\S+) (\S+))?$/.exec(text)!;
  return {
    principal: caller === "anonymous" ? null : spiffeIdFor(settings.trustDomain, "shop", caller!),
    workload: { namespace: "shop", labels: { app: app! } },
    port: Number(port),
    request: method === undefined ? null : { method, path: path! },
    count,
    firstMs: AT,
    lastMs: AT + 1_000,
  };
}

function suggested(observations: readonly Observation[]): readonly AuthorizationPolicy[] {
  const text = suggestPolicies(observations, settings).map(writeSuggestion).join("---\n");
  const { documents, faults } = parsePolicyFiles([{ path: "suggested.yaml", text }]);
  expect(faults).toEqual([]);
  return documents;
}

function isAllowed(
  documents: readonly AuthorizationPolicy[],
  { principal, workload, port, request }: Observation,
): boolean {
  const policy = compilePolicy(documents, workload, settings);
  const [sourceIp, destinationIp] = ["10.0.0.1", "10.0.0.2"];
  const peer = { principal, sourceIp, remoteIp: sourceIp, destinationIp, destinationPort: port ?? 8080, sni: null };
  if (request === null) return decideTcp(policy, peer).allow;
  return decideRequest(policy, peer, { ...request, host: "", header: () => undefined, claims: null }).allow;
}

describe("paths", () => {
  test.each([
    [["/orders/1", "/orders/22"], "/orders/{*}"],
    [["/users/5f2b8c1e-9d3a-4a77-8a55-0123456789ab/cart"], "/users/{*}/cart"],
    [["/blobs/9f86d081884c7d65"], "/blobs/{*}"],
    [Array.from({ length: 8 }, (_, i) => `/tags/${"abcdefgh"[i]!.repeat(3)}`), "/tags/{*}"],
  ])("whose segments are values become a template", (paths, template) => {
    expect(new Set(pathPatterns(paths).values())).toEqual(new Set([template]));
  });

  test.each([
    [["/orders", "/orders/stream", "/healthz", "/"]],
    [["/v1/a", "/v2/a"]],
    [["/hipstershop.CartService/GetCart", "/hipstershop.CartService/AddItem"]],
    [["/admin/deadbeef"]],
  ])("whose segments are names stay as they are: %j", (paths) => {
    expect([...pathPatterns(paths).values()]).toEqual(paths);
  });

  test("with letters that no template takes in stand for themselves", () => {
    expect(pathPatterns(["/a/1%7C|"]).get("/a/1%7C|")).toBe("/a/1%7C|");
    expect(pathPatterns(["/a/{x}"]).get("/a/{x}")).toBe("/a/*");
  });
});

describe("what is suggested", () => {
  const flows = [
    seen("web → orders:8080 GET /orders", 40),
    seen("web → orders:8080 POST /orders", 3),
    seen("web → orders:8080 GET /orders/17"),
    seen("batch → orders:8080 GET /orders/99"),
    seen("orders → ledger:7000"),
  ];

  test("allows all that was seen, and what differs from it in a value alone", () => {
    const documents = suggested(flows);
    for (const flow of flows) expect(isAllowed(documents, flow), JSON.stringify(flow)).toBe(true);
    expect(isAllowed(documents, seen("web → orders:8080 GET /orders/18"))).toBe(true);
  });

  test.each([
    "batch → orders:8080 GET /orders",
    "batch → orders:8080 POST /orders",
    "web → orders:8080 DELETE /orders",
    "web → orders:8080 POST /orders/17",
    "web → orders:8080 GET /internal",
    "web → orders:8080 GET /orders/17/items",
    "web → orders:9090 GET /orders",
    "web → orders:8080",
    "web → ledger:7000",
    "orders → ledger:7001",
    "anonymous → orders:8080 GET /orders",
    "web → reviews:8080 GET /orders",
  ])("allows nothing that was not seen: %s", (text) => {
    expect(isAllowed(suggested(flows), seen(text))).toBe(false);
  });

  test("says what each rule rests on, and what cannot be granted", () => {
    const [, orders] = suggestPolicies([...flows, seen("anonymous → orders:8080 GET /orders", 7)], settings);
    const text = writeSuggestion(orders!);
    expect(text).toContain("# Seen 44 times from 2026-11-22T12:00:00.000Z to 2026-11-22T12:00:01.000Z.");
    expect(text).toContain("# Not granted: 7 requests of callers without an identity.");
  });

  test("leaves out labels that a rollout changes, and names no policy twice", () => {
    const rollout = (hash: string): Observation => {
      const flow = seen("web → orders:8080 GET /orders");
      return { ...flow, workload: { namespace: "shop", labels: { app: "orders", "pod-template-hash": hash } } };
    };
    expect(suggested([rollout("a1"), rollout("b2")]).map(({ id }) => id)).toEqual(["shop/orders"]);
    const v2 = {
      ...seen("web → orders:8080 GET /orders"),
      workload: { namespace: "shop", labels: { app: "orders", v: "2" } },
    };
    expect(
      suggested([...flows, v2])
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(["shop/ledger", "shop/orders", "shop/orders-2"]);
  });

  test("does not mistake a foreign domain called like the local one", () => {
    const flow = seen("web → orders:8080 GET /orders");
    const local = {
      ...settings,
      trustDomain: parseSpiffeId("spiffe://corp.example").slice(9) as typeof settings.trustDomain,
    };
    const text = suggestPolicies([flow], local).map(writeSuggestion).join("---\n");
    expect(text).toContain('principals: ["*cluster.local/ns/shop/sa/web"]');
    expect(text).toContain('trustDomains: ["cluster.local"]');
  });
});

const traces = corpusPath("traces");

describe.skipIf(traces === null)("trained on 70 % of recorded traces (needs the shared corpus)", () => {
  test.each(["online-boutique-1.csv.gz", "online-boutique-2.csv.gz"])("%s", (file) => {
    const calls = readCalls(join(traces!, file));
    expect(calls.length).toBeGreaterThan(4_000);
    const cut = Math.floor(calls.length * 0.7);
    const [training, rest] = [calls.slice(0, cut), calls.slice(cut)];
    const documents = suggested(training);
    expect(training.filter((call) => !isAllowed(documents, call))).toEqual([]);
    const denied = rest.filter((call) => !isAllowed(documents, call));
    expect(denied.length / rest.length).toBeLessThanOrEqual(0.01);

    // No more edges than were seen: each caller with each called workload.
    const edges = new Set(training.map(edgeOf));
    const callers = [...new Set(calls.map(({ principal }) => principal))];
    for (const principal of callers)
      for (const call of calls)
        if (!edges.has(edgeOf({ ...call, principal })))
          expect(isAllowed(documents, { ...call, principal })).toBe(false);

    // Attacks, spliced in: what nobody did must not be let through.
    const attacks = [
      "adservice → paymentservice:8080 POST /hipstershop.PaymentService/Charge",
      "frontend → paymentservice:8080 POST /hipstershop.PaymentService/Charge",
      "emailservice → cartservice:8080 POST /hipstershop.CartService/EmptyCart",
      "frontend → cartservice:8080 POST /hipstershop.CartService/EmptyCart",
      "frontend → productcatalogservice:8080 GET /debug/pprof",
      "frontend → productcatalogservice:8080",
      "anonymous → checkoutservice:8080 POST /hipstershop.CheckoutService/PlaceOrder",
    ].map((text) => seen(text));
    expect(attacks.filter((attack) => isAllowed(documents, attack))).toEqual([]);
  });
});

function edgeOf({ principal, workload }: Observation): string {
  return `${principal} ${workload.labels["app"]}`;
}

/** Spans whose parent ran in another workload's pod: gRPC calls, in the order of their time. */
function readCalls(path: string): readonly Observation[] {
  const [, ...rows] = gunzipSync(readFileSync(path)).toString().trim().split("\n");
  const spans = rows.map((row) => {
    const [trace, span, parent, pod, operation, start] = row.split(",");
    const ms = Number(BigInt(start!) / 1_000_000n);
    return {
      key: `${trace} ${span}`,
      parent: `${trace} ${parent}`,
      app: pod!.split("-").slice(0, -2).join("-"),
      operation: operation!,
      ms,
    };
  });
  const byKey = new Map(spans.map((span) => [span.key, span]));
  return spans
    .flatMap(({ parent, app, operation, ms }) => {
      const caller = byKey.get(parent);
      if (caller === undefined || caller.app === app) return [];
      const call = `/${operation.replace(/^(\/|grpc\.)/, "")}`;
      return [{ ...seen(`${caller.app} → ${app}:8080 POST ${call}`), firstMs: ms, lastMs: ms }];
    })
    .toSorted((a, b) => a.firstMs - b.firstMs);
}
