import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BOARDS } from "../../src/control/install/monitoring/boards.ts";
import { RULE_GROUPS } from "../../src/control/install/monitoring/rules.ts";
import { callHttp } from "../../src/io/http-client.ts";
import { curl } from "../support/curl.ts";
import { ISTIO_QUERIES } from "../support/istio-queries.ts";
import { eventually, startTestMesh, type TestMesh } from "../support/local-mesh.ts";
import { HAS_PROMETHEUS, type RunningPrometheus, startPrometheus } from "../support/prometheus.ts";

// The sample mesh, read by a Prometheus that is nobody's of ours, with the configuration that `cardea up` has made for it.

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const UNSAMPLED = "0af7651916cd43dd8448eb211c80319c";
/** A second Prometheus job asks for the text format alone, by way of a server that takes the Accept field off. */
const TEXT_JOB = "text";

let mesh: TestMesh;
let prometheus: RunningPrometheus;
let plain: Server;

describe.skipIf(!HAS_PROMETHEUS)("a real Prometheus (skipped without prometheus)", () => {
  beforeAll(async () => {
    // On a machine that is busy a mesh may give up before it is up: its own limit is 20 s.
    mesh = await eventually(() => startTestMesh().catch(() => null), 120_000);
    plain = await openTextOnly(mesh.service("orders").metrics);
    prometheus = await startPrometheus(configFile());
    // Some at once, so that series are there, and some each second, so that rates are.
    await eventually(async () => {
      await Promise.all([
        ask("/orders", TRACE, "01"),
        ask("/orders", UNSAMPLED, "00"),
        ask("/internal", UNSAMPLED, "00"),
        curl("-X", "POST", `http://127.0.0.1:${mesh.service("web").inbound[0]!.app.port}/checkout`),
      ]);
      return (await prometheus.query("count(rate(istio_requests_total[1m]) > 0)")).length > 0;
    }, 90_000);
  }, 300_000);

  afterAll(async () => {
    await prometheus?.close();
    plain?.close();
    await mesh?.close();
  });

  test("finds every process of the mesh, and has a good scrape of each, in both formats", async () => {
    const wanted = mesh.run().services.length + 2;
    const up = await eventually(async () => {
      const found = await prometheus.query("up == 1");
      return found.length === wanted && found;
    });
    const apps = up.map(({ metric }) => String(metric["app"] ?? metric["job"])).toSorted();
    expect(apps).toEqual(["cardea-control", "ledger", "orders", "payments", TEXT_JOB, "web"]);
    const { activeTargets } = await prometheus.api<{ activeTargets: readonly { lastError: string }[] }>("targets");
    expect(activeTargets.map(({ lastError }) => lastError)).toEqual(activeTargets.map(() => ""));
  });

  test("takes the formats for what they are: bounds are spelt as each spells them", async () => {
    const bounds = async (job: string) => {
      const found = await prometheus.query(`count by (le) (istio_request_duration_milliseconds_bucket{job="${job}"})`);
      return found.map(({ metric }) => metric["le"]);
    };
    const [canonical, plainBounds] = [
      await eventually(async () => (await bounds("cardea")).length > 0 && bounds("cardea")),
      await bounds(TEXT_JOB),
    ];
    expect(canonical).toEqual(expect.arrayContaining(["5.0", "+Inf"]));
    expect(canonical).not.toContain("5");
    expect(plainBounds).toEqual(expect.arrayContaining(["5", "+Inf"]));
    expect(plainBounds).not.toContain("5.0");
    const quantile = "histogram_quantile(0.5, sum by (le) (istio_request_duration_milliseconds_bucket))";
    expect(Number((await prometheus.query(quantile))[0]!.value[1])).toBeGreaterThan(0);
  });

  test("knows the types and meanings, of counters by their families", async () => {
    const metadata = await prometheus.api<Record<string, readonly { type: string; help: string }[]>>("metadata");
    // OpenMetrics has the family's name; the text format that of the samples.
    expect(metadata["istio_requests"]?.[0]?.type).toBe("counter");
    expect(metadata["istio_requests_total"]?.[0]?.type).toBe("counter");
    expect(metadata["citadel_server_csr_count"]?.[0]?.type).toBe("unknown");
    expect(metadata["cardea_event_loop_lag_seconds"]?.[0]?.type).toBe("histogram");
  });

  test("finds the exemplars of sampled requests, and no others", async () => {
    const found = await eventually(async () => {
      const series = await exemplars("istio_request_duration_milliseconds_bucket");
      return series.length > 0 && series;
    });
    const ids = new Set(found.flatMap((each) => each.exemplars.map(({ labels }) => labels["trace_id"])));
    expect([...ids]).toEqual([TRACE]);
    expect(found.map(({ seriesLabels }) => seriesLabels["job"])).not.toContain(TEXT_JOB);
    for (const { exemplars: each, seriesLabels } of found)
      for (const { value } of each) expect(Number(value)).toBeLessThanOrEqual(boundOf(seriesLabels["le"]!));
  });

  test.each(
    ISTIO_QUERIES.flatMap(({ source, metrics }) =>
      Object.entries(metrics).map(([name, labels]) => ({ source, name, labels })),
    ),
  )("answers what $source asks of $name", async ({ name, labels }) => {
    const found = await eventually(async () => {
      const samples = await prometheus.query(name);
      return samples.length > 0 && samples;
    });
    // Prometheus keeps no empty label, and the sample has no gRPC: Istio's status is empty then, too.
    const kept = labels.filter((label) => label !== "grpc_response_status");
    for (const { metric } of found) expect(Object.keys(metric)).toEqual(expect.arrayContaining(kept));
  });

  test("shows Kiali's graph who calls whom, in the one cluster, by mutual TLS", async () => {
    const by =
      "source_cluster,source_workload_namespace,source_workload,destination_cluster,destination_workload,connection_security_policy";
    const edges = await eventually(async () => {
      const found = await prometheus.query(
        `sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="shop"}[60s])) by (${by}) > 0`,
      );
      return found.length > 0 && found;
    });
    expect(edges.map(({ metric }) => metric)).toContainEqual({
      source_cluster: "Kubernetes",
      source_workload_namespace: "shop",
      source_workload: "web",
      destination_cluster: "Kubernetes",
      destination_workload: "orders",
      connection_security_policy: "mutual_tls",
    });
  });

  test("has all of our rules in force, and each one can be evaluated", async () => {
    const wanted = RULE_GROUPS.flatMap(({ rules }) =>
      rules.map((rule) => ("record" in rule ? rule.record : rule.alert)),
    );
    const rules = await eventually(async () => {
      const { groups } = await prometheus.api<{
        groups: readonly { rules: readonly { name: string; health: string }[] }[];
      }>("rules");
      const all = groups.flatMap((group) => group.rules);
      return all.length > 0 && all.every(({ health }) => health !== "unknown") && all;
    });
    expect(new Set(rules.map(({ name }) => name))).toEqual(new Set(wanted));
    expect(rules.filter(({ health }) => health !== "ok")).toEqual([]);
  });

  const queries = Object.values(BOARDS).flatMap(({ title, rows }) =>
    rows.flatMap((row) =>
      row.panels.flatMap((panel) => panel.queries.map(([expr]) => ({ title, panel: panel.title, expr }))),
    ),
  );
  test.each(queries)("takes the query of $title: $panel", async ({ expr }) => {
    const filled = expr
      .replaceAll("$__rate_interval", "1m")
      .replaceAll("$namespace", ".*")
      .replaceAll("$service", ".*");
    await expect(prometheus.query(filled)).resolves.toBeInstanceOf(Array);
  });

  test("shows the sample's denials on our board", async () => {
    const denied = await eventually(async () => {
      const found = await prometheus.query(`sum by (reason) (rate(cardea_decisions_total{verdict="denied"}[1m])) > 0`);
      return found.length > 0 && found;
    });
    expect(denied.map(({ metric }) => metric["reason"])).toContain("no-allow-rule-matched");
  });
});

interface ExemplarSeries {
  readonly seriesLabels: Readonly<Record<string, string>>;
  readonly exemplars: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: string }[];
}

function exemplars(query: string): Promise<readonly ExemplarSeries[]> {
  const nowSec = Date.now() / 1_000;
  return prometheus.api("query_exemplars", { query, start: String(nowSec - 600), end: String(nowSec + 60) });
}

function boundOf(le: string): number {
  return le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le);
}

/** web's app asks orders through its sidecar, within a trace. */
function ask(path: string, traceId: string, flags: string) {
  const { host, port } = mesh.service("web").outbound;
  const traceparent = `traceparent: 00-${traceId}-00f067aa0ba902b7-${flags}`;
  return curl("-x", `http://${host}:${port}`, "-H", traceparent, `http://orders.shop:8080${path}`);
}

/** What `cardea up` has made, scraped more often, and with one job more. */
function configFile(): string {
  const made = readFileSync(join(mesh.state, "prometheus.yaml"), "utf8");
  const { port } = plain.address() as { port: number };
  const job = `  - job_name: ${TEXT_JOB}\n    static_configs: [{ targets: ["127.0.0.1:${port}"] }]\n`;
  const path = join(mesh.directory, "prometheus.yaml");
  writeFileSync(path, `${made.replaceAll(/_interval: "?5s"?/g, "_interval: 1s")}${job}`);
  return path;
}

/** Answers as the sidecar does who is asked for no format. */
async function openTextOnly(at: { host: string; port: number }): Promise<Server> {
  const server = createServer((_request, response) => {
    callHttp(at, { path: "/metrics", timeoutMs: 5_000 }).then(
      ({ headers, body }) => response.setHeader("content-type", String(headers["content-type"])).end(body),
      () => response.destroy(),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
