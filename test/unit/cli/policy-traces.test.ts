import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Command } from "../../../src/cli/command.ts";
import { readGround } from "../../../src/cli/known-ground.ts";
import { command as blastRadius } from "../../../src/cli/policy-blast-radius.ts";
import { command as prove } from "../../../src/cli/policy-prove.ts";
import { command as suggest } from "../../../src/cli/policy-suggest.ts";
import { observeTraces } from "../../../src/cli/trace-observations.ts";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { questionOf } from "../../../src/policy/analysis/observed-question.ts";
import { type Observation, suggestPolicies, writeSuggestion } from "../../../src/policy/analysis/suggest.ts";
import { decideQuestion } from "../../../src/policy/explain.ts";
import type { AuthorizationPolicy } from "../../../src/policy/document.ts";
import { DEFAULT_MESH_SETTINGS as settings } from "../../../src/policy/mesh-settings.ts";
import { corpusPath } from "../../support/corpus.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cardea-traces-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function run(command: Command, ...words: readonly string[]) {
  const terminal = keptTerminal({});
  const code = await runCommand(command, words, terminal);
  return { code, out: terminal.out, err: terminal.err };
}

const OTLP = {
  resourceSpans: [
    {
      resource: { attributes: [{ key: "service.name", value: { stringValue: "web" } }] },
      scopeSpans: [{ spans: [{ traceId: "a", spanId: "1", name: "GET", startTimeUnixNano: "1700000000000000000" }] }],
    },
    {
      resource: {
        attributes: [
          { key: "service.name", value: { stringValue: "orders" } },
          { key: "k8s.namespace.name", value: { stringValue: "shop" } },
        ],
      },
      scopeSpans: [
        {
          spans: [
            {
              traceId: "a",
              spanId: "2",
              parentSpanId: "1",
              name: "GET /orders/:id",
              startTimeUnixNano: 1_700_000_000_500_000_000,
              attributes: [
                { key: "http.request.method", value: { stringValue: "GET" } },
                { key: "url.path", value: { stringValue: "/orders/../orders/17" } },
                { key: "server.port", value: { intValue: "8080" } },
              ],
            },
          ],
        },
      ],
    },
  ],
};

const JAEGER = {
  data: [
    {
      processes: { p1: { serviceName: "web" }, p2: { serviceName: "orders" } },
      spans: [
        {
          traceID: "a",
          spanID: "1",
          processID: "p1",
          operationName: "x",
          startTime: 1_700_000_000_000_000,
          references: [],
        },
        {
          traceID: "a",
          spanID: "2",
          processID: "p2",
          operationName: "x",
          startTime: 1_700_000_000_500_000,
          references: [{ refType: "CHILD_OF", traceID: "a", spanID: "1" }],
          tags: [
            { key: "http.method", value: "POST" },
            { key: "http.url", value: "http://orders:8080/orders?x=1" },
          ],
        },
      ],
    },
  ],
};

describe("policy suggest --traces", () => {
  test("learns from OTLP's JSON, one document a line, with the path as policy sees it", async () => {
    const file = write("otlp.jsonl", `${JSON.stringify(OTLP)}\n${JSON.stringify({ resourceSpans: [] })}\n`);
    const { code, out, err } = await run(suggest, "--traces", file, "--namespace", "edge");
    const text = out.join("\n");
    expect(text).toContain('principals: ["cluster.local/ns/edge/sa/web"]');
    expect(text).toContain('namespace: "shop"');
    expect(text).toContain('paths: ["/orders/{*}"]');
    expect(text).toContain('ports: ["8080"]');
    expect(text).toContain("# Seen 1 times from 2023-11-14T22:13:20.500Z to 2023-11-14T22:13:20.500Z.");
    expect(err[0]).toContain("1 spans have no parent in the traces");
    expect(code).toBe(0);
  });

  test("learns from Jaeger's JSON, packed or not, and asks no port where none is told", async () => {
    const file = write("jaeger.json.gz", gzipSync(JSON.stringify(JAEGER)));
    const { out } = await run(suggest, "--traces", file);
    expect(out.join("\n")).toContain('paths: ["/orders"]');
    expect(out.join("\n")).not.toContain("ports:");
  });

  test("takes identities, labels and ports of Kubernetes manifests, and leaves out who is not there", async () => {
    const manifests = write(
      "manifests.yaml",
      JSON.stringify({
        apiVersion: "v1",
        kind: "List",
        items: [
          {
            apiVersion: "apps/v1",
            kind: "Deployment",
            metadata: { name: "orders", namespace: "shop" },
            spec: {
              template: {
                metadata: { labels: { "app.kubernetes.io/name": "orders" } },
                spec: {
                  serviceAccountName: "orders-sa",
                  containers: [{ name: "a", ports: [{ containerPort: 3000, name: "web" }] }],
                },
              },
            },
          },
          {
            apiVersion: "v1",
            kind: "Service",
            metadata: { name: "orders", namespace: "shop" },
            spec: {
              selector: { "app.kubernetes.io/name": "orders" },
              ports: [{ port: 8080, name: "http", targetPort: "web" }],
            },
          },
        ],
      }),
    );
    const { workloads } = await readGround(manifests);
    expect(workloads).toEqual([
      {
        name: "shop/orders",
        namespace: "shop",
        labels: { "app.kubernetes.io/name": "orders" },
        principal: "spiffe://cluster.local/ns/shop/sa/orders-sa",
        ports: [{ port: 3000, protocols: ["http"] }],
        hosts: ["orders.shop.svc.cluster.local"],
      },
    ]);
    const { code, err } = await run(suggest, "--traces", write("otlp.json", JSON.stringify(OTLP)), "--mesh", manifests);
    expect(err[0]).toBe("not among the workloads, and left out: web");
    expect(code).toBe(1);
  });

  test.each([
    ["{}", "is not a file of traces"],
    ["not json\nat all", "is not a file of traces"],
    ["", "0 policies"],
  ])("%j teaches nothing", async (text, message) => {
    const { code, err } = await run(suggest, "--traces", write("bad.json", text));
    expect(code).not.toBe(0);
    expect(err.join("\n")).toContain(message);
  });

  test("what unpacks to too much, or is not there, is said", async () => {
    expect((await run(suggest, "--traces", join(folder, "none.gz"))).err.join()).toContain(
      "none.gz cannot be read: no such file",
    );
    expect((await run(suggest, "--traces", write("torn.gz", Buffer.from([0x1f, 0x8b, 8, 0])))).code).toBe(2);
  });
});

describe("policy suggest --unused-since", () => {
  const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  rules:
    - from: [{source: {principals: ["cluster.local/ns/edge/sa/web", "cluster.local/ns/edge/sa/old"]}}]
      to: [{operation: {methods: [GET, DELETE], paths: ["/orders/*"]}}]
    - from: [{source: {namespaces: [ops]}}]
`;

  test("names rules, and callers and methods in them, that nothing used in all that was read", async () => {
    // The call is of 2023: of the last ten years it is used, of the last day it is not.
    const { code, out, err } = await ask("3650", "--policies", write("grants.yaml", POLICY));
    expect(out.map((line) => line.replace(`${folder}/`, ""))).toEqual([
      'grants.yaml:6: "cluster.local/ns/edge/sa/old" in rule 0 of shop/orders: nothing that was read uses it',
      'grants.yaml:7: "DELETE" in rule 0 of shop/orders: nothing that was read uses it',
      "grants.yaml:8: rule 1 of shop/orders: nothing that was read uses it",
    ]);
    expect(err.at(-2)).toContain("what was read begins at 2023-11-14T22:13:20.500Z: it does not reach back 3650 days");
    expect(code).toBe(1);
    const day = await ask("1", "--policies", join(folder, "grants.yaml"));
    expect(day.out[0]).toContain("rule 0 of shop/orders: last used at 2023-11-14T22:13:20.500Z");
    expect(day.out).toHaveLength(6);
  });

  test("with --json tells when each was last used", async () => {
    const { out } = await ask("1", "--policies", write("grants.yaml", POLICY), "--json");
    expect(JSON.parse(out[0]!)).toMatchObject({
      kind: "unused",
      rule: 0,
      count: 1,
      lastUsed: "2023-11-14T22:13:20.500Z",
    });
  });

  test.each([
    [["0", "--policies", "policies"], "expected a number of days"],
    [["soon", "--policies", "policies"], "expected a number of days"],
    [["30"], "--unused-since needs --policies"],
  ])("%j is bad usage", async ([days, ...more], message) => {
    const { code, err } = await ask(days!, ...more);
    expect(code).toBe(2);
    expect(err.join("\n")).toContain(message);
  });
});

const ask = (days: string, ...more: readonly string[]) =>
  run(
    suggest,
    "--traces",
    write("otlp.json", JSON.stringify(OTLP)),
    "--namespace",
    "edge",
    "--unused-since",
    days,
    ...more,
  );

const invariant = (name: string, spec: object): string =>
  JSON.stringify({ apiVersion: "cardea.dev/v1", kind: "Invariant", metadata: { name }, spec });

const account = (name: string): string => `cluster.local/ns/default/sa/${name}`;

const [traces, boutique] = [corpusPath("traces"), corpusPath("online-boutique")];
const MANIFESTS = join(boutique ?? "", "release/kubernetes-manifests.yaml");

interface Recording {
  readonly file: string;
  readonly manifests: string | null;
  readonly calls: number;
  /** `caller → called port method path`; without a method it is a connection. */
  readonly attacks: readonly string[];
}

const ON_BOUTIQUE = [
  "adservice → paymentservice 50051 POST /hipstershop.PaymentService/Charge",
  "frontend → paymentservice 50051 POST /hipstershop.PaymentService/Charge",
  "frontend → emailservice 8080 POST /hipstershop.EmailService/SendOrderConfirmation",
  "emailservice → cartservice 7070 POST /hipstershop.CartService/EmptyCart",
  "frontend → cartservice 7070 POST /hipstershop.CartService/EmptyCart",
  "frontend → productcatalogservice 3550 GET /debug/pprof",
  "frontend → productcatalogservice 3550",
  "frontend → cartservice 6379 POST /hipstershop.CartService/GetCart",
  "frontend → redis-cart 6379",
  "loadgenerator → checkoutservice 5050 POST /hipstershop.CheckoutService/PlaceOrder",
  "anonymous → checkoutservice 5050 POST /hipstershop.CheckoutService/PlaceOrder",
];

describe.skipIf(traces === null || boutique === null)(
  "trained on the first 70 % of recorded traces (needs the shared corpus)",
  () => {
    test.each<Recording>([
      { file: "online-boutique-1.csv.gz", manifests: MANIFESTS, calls: 5_508, attacks: ON_BOUTIQUE },
      { file: "online-boutique-2.csv.gz", manifests: MANIFESTS, calls: 5_604, attacks: ON_BOUTIQUE },
      {
        file: "social-network-jaeger.json.gz",
        manifests: null,
        calls: 220,
        attacks: [
          "media-service → user-service 0",
          "text-service → post-storage-service 0",
          "user-mention-service → compose-post-service 0",
          "nginx-web-server → user-timeline-service 0",
          "anonymous → compose-post-service 0",
        ],
      },
    ])(
      "$file: the rest is allowed, edges never seen are not, nor are spliced-in attacks",
      async ({ file, manifests, calls, attacks }) => {
        const ground = manifests === null ? null : await readGround(manifests);
        const about = { settings, workloads: ground?.workloads ?? null, namespace: "default" };
        const { observations, unknown } = await observeTraces([join(traces!, file)], about);
        expect(observations).toHaveLength(calls);
        expect(unknown).toEqual([]);
        const cut = Math.floor(calls * 0.7);
        const [training, rest] = [observations.slice(0, cut), observations.slice(cut)];
        const documents = suggested(training);

        expect(training.filter((call) => !isAllowed(call, documents))).toEqual([]);
        expect(rest.filter((call) => !isAllowed(call, documents)).length / rest.length).toBeLessThanOrEqual(0.01);

        const edges = new Set(training.map(edgeOf));
        // Whoever calls or is called may turn on the others.
        const called = observations.map(({ workload }) =>
          spiffeIdFor(settings.trustDomain, "default", workload.labels["app"]!),
        );
        const others = (ground?.workloads ?? []).map(({ principal }) => principal);
        const callers = new Set([...observations.map(({ principal }) => principal), ...called, ...others]);
        const crossed = [...callers].flatMap((principal) =>
          distinct(observations).map((call) => ({ ...call, principal })),
        );
        expect(crossed.length).toBeGreaterThan(100);
        for (const call of crossed)
          if (!edges.has(edgeOf(call))) expect(isAllowed(call, documents), edgeOf(call)).toBe(false);

        const known = new Map(observations.map(({ workload }) => [workload.labels["app"], workload]));
        const let_ = attacks.filter((attack) => isAllowed(attackOf(attack, known), documents));
        expect(let_).toEqual([]);
      },
    );

    test("what is suggested for the boutique stands up to prove and blast-radius, as worked out by hand", async () => {
      const { out } = await run(suggest, "--traces", join(traces!, "online-boutique-1.csv.gz"), "--mesh", MANIFESTS);
      const policies = write("boutique.yaml", out.join("\n"));
      const radius = await run(blastRadius, policies, "--mesh", MANIFESTS);
      // The frontend calls seven services and by way of checkout two more; checkout calls five; recommendation one: 15 of 12 × 11.
      expect(radius.out).toContain("default/frontend reaches 9 of 11");
      expect(radius.out).toContain("default/checkoutservice reaches 5 of 11");
      expect(radius.out).toContain("default/recommendationservice reaches 1 of 11");
      expect(radius.out.at(-1)).toBe("blast radius: 11.4 % of the mesh for a breach of one workload");

      const invariants = [
        invariant("payment-is-for-checkout", {
          to: ["default/paymentservice"],
          never: [{ from: [{ source: { notPrincipals: [account("checkoutservice")] } }] }],
        }),
        invariant("ads-reach-nothing", { unreachable: { from: ["default/adservice"], to: ["*/*"] } }),
        invariant("frontend-is-two-hops-from-payment", {
          unreachable: { from: ["default/frontend"], to: ["default/paymentservice"], hops: 1 },
        }),
        // Broken, and rightly: checkout pays.
        invariant("frontend-never-comes-to-payment", {
          unreachable: { from: ["default/frontend"], to: ["default/paymentservice"] },
        }),
        // Broken: the frontend adds to the cart.
        invariant("cart-is-read-only-for-frontend", {
          to: ["default/cartservice"],
          never: [
            { from: [{ source: { principals: [account("frontend")] } }], to: [{ operation: { paths: ["*AddItem"] } }] },
          ],
        }),
      ];
      const proofs = await run(
        prove,
        policies,
        write("boutique-invariants.yaml", invariants.join("\n---\n")),
        "--mesh",
        MANIFESTS,
      );
      expect(proofs.out.at(-1)).toBe("3 hold, 2 broken, 0 unknown, 0 vacuous");
      const said = proofs.out.join("\n");
      expect(said).toContain("default/frontend → default/checkoutservice → default/paymentservice");
      expect(said).toContain("POST /hipstershop.CartService/AddItem");
    });
  },
);

function suggested(observations: readonly Observation[]): readonly AuthorizationPolicy[] {
  const text = suggestPolicies(observations, settings).map(writeSuggestion).join("---\n");
  const { documents, faults } = parsePolicyFiles([{ path: "suggested.yaml", text }]);
  expect(faults).toEqual([]);
  return documents;
}

function isAllowed(observation: Observation, documents: readonly AuthorizationPolicy[]): boolean {
  return decideQuestion(documents, questionOf(observation, settings)).allow;
}

function edgeOf({ principal, workload }: Observation): string {
  return `${principal} → ${workload.labels["app"]}`;
}

/** One call of each kind: asking about them all again would be slow and say nothing more. */
function distinct(calls: readonly Observation[]): readonly Observation[] {
  return [...new Map(calls.map((call) => [`${edgeOf(call)} ${call.request?.path}`, call])).values()];
}

function attackOf(text: string, known: ReadonlyMap<string | undefined, Observation["workload"]>): Observation {
  const [, caller, app, port, method, path] = /^(\S+) → (\S+) (\d+)(?: (\S+) (\S+))?$/.exec(text)!;
  return {
    principal: caller === "anonymous" ? null : spiffeIdFor(settings.trustDomain, "default", caller!),
    workload: known.get(app) ?? { namespace: "default", labels: { app: app! } },
    port: port === "0" ? null : Number(port),
    request: method === undefined ? null : { method, path: path! },
    count: 1,
    firstMs: 0,
    lastMs: 0,
  };
}
