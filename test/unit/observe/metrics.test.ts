import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { formatExposition } from "../../../src/observe/exposition.ts";
import type { MetricSource } from "../../../src/observe/metric-source.ts";
import type { FlowPeer } from "../../../src/observe/flow.ts";
import { processGauges, sidecarGauges } from "../../../src/observe/gauges.ts";
import { watchLoopLag } from "../../../src/observe/loop-lag.ts";
import { BUCKETS, METRIC_TABLE } from "../../../src/observe/metric-table.ts";
import { createDataPathMetrics } from "../../../src/observe/metrics.ts";
import { expose, samplesOf, valueOf } from "../../support/expose.ts";
import { createSimClock } from "../../support/sim-clock.ts";
import { plaintextFlow, sampleFlow, WEB } from "../../support/sample-flow.ts";

describe("the data path's metrics", () => {
  test("count a request under Istio's labels", async () => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(sampleFlow());
    const [sample] = await samplesOf(metrics, "istio_requests_total");
    expect(sample).toMatchObject({
      value: 1,
      labels: {
        reporter: "destination",
        source_workload: "web",
        source_workload_namespace: "shop",
        source_principal: "spiffe://cluster.local/ns/shop/sa/web",
        source_app: "unknown",
        source_version: "unknown",
        source_cluster: "Kubernetes",
        source_canonical_service: "web",
        source_canonical_revision: "latest",
        destination_workload: "payments",
        destination_workload_namespace: "shop",
        destination_principal: "spiffe://cluster.local/ns/shop/sa/payments",
        destination_app: "payments",
        destination_version: "v1",
        destination_cluster: "Kubernetes",
        destination_service: "payments.shop.svc.cluster.local",
        destination_service_name: "payments",
        destination_service_namespace: "shop",
        destination_canonical_service: "payments",
        destination_canonical_revision: "v1",
        request_protocol: "http",
        response_code: "403",
        grpc_response_status: "",
        response_flags: "UAEX",
        connection_security_policy: "mutual_tls",
      },
    });
    expect(Object.keys(sample!.labels).toSorted()).toEqual(METRIC_TABLE.istio_requests_total.labels.toSorted());
  });

  test("tell gRPC's calls by their protocol and status", async () => {
    const metrics = createDataPathMetrics();
    for (const grpcStatus of [0, 0, 7, 16]) metrics.recordRequest(sampleFlow({ status: 200, grpcStatus }));
    metrics.recordRequest(sampleFlow({ status: 200 }));
    const samples = await samplesOf(metrics, "istio_requests_total");
    const told = samples.map(({ labels, value }) => [
      labels["request_protocol"],
      labels["grpc_response_status"],
      value,
    ]);
    expect(told).toEqual([
      ["grpc", "0", 2],
      ["grpc", "7", 1],
      ["grpc", "16", 1],
      ["http", "", 1],
    ]);
  });

  test("put duration and sizes into Istio's buckets, bounds included", async () => {
    const metrics = createDataPathMetrics();
    for (const durationMs of [0.4, 0.5, 0.6, 30, 4_000_000]) {
      metrics.recordRequest(sampleFlow({ durationMs, bytesReceived: 10, bytesSent: 0 }));
    }
    const buckets = await samplesOf(metrics, "istio_request_duration_milliseconds_bucket");
    expect(buckets.map((sample) => sample.labels["le"])).toEqual([...BUCKETS.map(String), "+Inf"]);
    const byBound = new Map(buckets.map((sample) => [sample.labels["le"], sample.value]));
    expect(["0.5", "1", "25", "50", "3600000", "+Inf"].map((bound) => byBound.get(bound))).toEqual([2, 3, 3, 4, 4, 5]);
    expect(await valueOf(metrics, "istio_request_duration_milliseconds_sum")).toBeCloseTo(4_000_031.5);
    expect(await valueOf(metrics, "istio_request_duration_milliseconds_count")).toBe(5);
    expect(await valueOf(metrics, "istio_request_bytes_sum")).toBe(50);
    expect(await valueOf(metrics, "istio_response_bytes_sum")).toBe(0);
  });

  test("tell outcomes, directions and security apart", async () => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(sampleFlow({ verdict: "allowed", reason: "allow-rule-matched", status: 200 }));
    metrics.recordRequest(sampleFlow({ verdict: "would-deny", reason: "default-action", status: 200 }));
    metrics.recordRequest(sampleFlow({ verdict: "error", reason: "upstream-reset", status: 502 }));
    metrics.recordRequest(
      sampleFlow({ verdict: "allowed", reason: "service-registered", status: 200, reporter: "source" }),
    );
    metrics.recordRequest(plaintextFlow());
    const seen = (await samplesOf(metrics, "istio_requests_total")).map(({ value, labels }) => [
      labels["reporter"],
      labels["response_code"],
      labels["response_flags"],
      labels["connection_security_policy"],
      labels["source_principal"],
      value,
    ]);
    const web = WEB.principal;
    expect(seen).toEqual([
      ["destination", "200", "-", "mutual_tls", web, 2],
      ["destination", "502", "UC", "mutual_tls", web, 1],
      ["source", "200", "-", "mutual_tls", web, 1],
      ["destination", "403", "DPE", "none", "unknown", 1],
    ]);
  });

  test("add up connections that come with peer objects of their own", async () => {
    const metrics = createDataPathMetrics();
    for (let port = 0; port < 50; port++) metrics.recordRequest(sampleFlow({ source: { ...WEB, port } }));
    expect(await valueOf(metrics, "istio_requests_total")).toBe(50);
  });

  test("count opaque connections, their bytes and their ends", async () => {
    const metrics = createDataPathMetrics();
    const flow = sampleFlow({ protocol: "tcp", verdict: "allowed", reason: "allow-rule-matched" });
    metrics.tcpOpened(flow);
    metrics.tcpBytes(flow, 100, 7);
    metrics.tcpBytes(flow, 1, 0);
    metrics.recordTcp({ ...flow, verdict: "error", reason: "upstream-reset" });
    expect(await valueOf(metrics, "istio_tcp_connections_opened_total")).toBe(1);
    expect(await valueOf(metrics, "istio_tcp_received_bytes_total")).toBe(101);
    expect(await valueOf(metrics, "istio_tcp_sent_bytes_total")).toBe(7);
    const closed = await samplesOf(metrics, "istio_tcp_connections_closed_total");
    expect(closed.map(({ value, labels }) => [value, labels["response_flags"], labels["request_protocol"]])).toEqual([
      [1, "UC", "tcp"],
    ]);
  });

  test("count every decision by its reason, refused connections included", async () => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(sampleFlow());
    metrics.recordRequest(sampleFlow());
    metrics.recordRefused(plaintextFlow({ protocol: "tcp" }));
    metrics.recordTcp(sampleFlow({ protocol: "tcp", verdict: "allowed", reason: "allow-rule-matched" }));
    const seen = (await samplesOf(metrics, "cardea_decisions_total")).map(({ value, labels }) => ({
      ...labels,
      value,
    }));
    expect(seen).toEqual([
      { reporter: "destination", verdict: "denied", reason: "no-allow-rule-matched", value: 2 },
      { reporter: "destination", verdict: "denied", reason: "plaintext-refused", value: 1 },
      { reporter: "destination", verdict: "allowed", reason: "allow-rule-matched", value: 1 },
    ]);
  });
});

describe("a flood of label sets", () => {
  test("ends in one series of unknown labels, and every event is still counted", async () => {
    const metrics = createDataPathMetrics(10);
    for (let index = 0; index < 500; index++) {
      const source: FlowPeer = { ...WEB, principal: `spiffe://cluster.local/ns/shop/sa/flood-${index}` };
      metrics.recordRequest(sampleFlow({ source }));
      metrics.tcpOpened(sampleFlow({ source }));
    }
    const requests = await samplesOf(metrics, "istio_requests_total");
    expect(requests).toHaveLength(11);
    expect(requests.reduce((sum, sample) => sum + sample.value, 0)).toBe(500);
    expect(requests.at(-1)).toMatchObject({
      value: 490,
      labels: {
        reporter: "destination",
        source_principal: "unknown",
        response_code: "unknown",
        request_protocol: "http",
        otel_metric_overflow: "true",
      },
    });
    expect(await samplesOf(metrics, "istio_tcp_connections_opened_total")).toHaveLength(11);
    expect(await valueOf(metrics, "cardea_metric_overflow_total")).toBe(980);
  });

  test("leaves the series that were there before as they were", async () => {
    const metrics = createDataPathMetrics(1);
    metrics.recordRequest(sampleFlow());
    metrics.recordRequest(sampleFlow({ status: 500 }));
    metrics.recordRequest(sampleFlow());
    expect((await samplesOf(metrics, "istio_requests_total")).map((sample) => sample.value)).toEqual([2, 1]);
  });
});

describe("hostile label values", () => {
  test.each([
    ["a quote that would end the value", 'web",verdict="allowed'],
    ["a backslash", "web\\"],
    ["a newline that would begin a sample", "web\nistio_requests_total 1"],
    ["an ANSI escape", "\u001b[2J\u009b31m"],
    ["a lone surrogate", "\ud800"],
    ["a very long one", "w".repeat(5_000)],
  ])("%s stays inside its quotes", async (_name, workload) => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(sampleFlow({ source: { ...WEB, workload } }));
    const text = await expose([metrics]);
    expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
    expect(await samplesOf(metrics, "istio_requests_total")).toHaveLength(1);
    expect(text.split("\n").every((line) => line.length < 2_000)).toBe(true);
  });
});

describe("the exposition", () => {
  test("tells the sidecar's own state", async () => {
    const facts = {
      certificateNotAfterMs: 90_000,
      policyRevision: "0a1b",
      policyConfirmedMs: 28_500,
      flowLinesDropped: 3,
      flowExport: { exported: 5, dropped: { "queue-full": 2, refused: 0, ended: 0 } },
      spanExport: { exported: 7, dropped: { rate: 4 } },
    };
    const gauges = sidecarGauges(
      () => facts,
      () => 30_000,
    );
    expect(await valueOf(gauges, "cardea_certificate_expiry_seconds")).toBe(60);
    expect(await valueOf(gauges, "cardea_policy_age_seconds")).toBe(1.5);
    expect(await valueOf(gauges, "cardea_flow_lines_dropped_total")).toBe(3);
    expect(await valueOf(gauges, "cardea_flow_records_exported_total")).toBe(5);
    expect(await samplesOf(gauges, "cardea_flow_records_dropped_total")).toEqual([
      { value: 2, labels: { reason: "queue-full" } },
      { value: 0, labels: { reason: "refused" } },
      { value: 0, labels: { reason: "ended" } },
    ]);
    expect(await valueOf(gauges, "cardea_spans_exported_total")).toBe(7);
    expect(await samplesOf(gauges, "cardea_spans_dropped_total")).toEqual([{ value: 4, labels: { reason: "rate" } }]);
    expect(await samplesOf(gauges, "cardea_policy_revision_info")).toEqual([
      { value: 1, labels: { revision: "0a1b" } },
    ]);
  });

  test("leaves out what a sidecar has not got yet", async () => {
    const facts = {
      certificateNotAfterMs: null,
      policyRevision: null,
      policyConfirmedMs: null,
      flowLinesDropped: 0,
      flowExport: null,
      spanExport: null,
    };
    expect(
      await expose([
        sidecarGauges(
          () => facts,
          () => 0,
        ),
      ]),
    ).not.toMatch(/expiry|policy/);
    expect(await expose([createDataPathMetrics()])).not.toContain("istio_");
  });

  test("comes in pieces, so that a scrape of many series never holds up traffic", async () => {
    const metrics = createDataPathMetrics();
    for (let index = 0; index < 40; index++) {
      metrics.recordRequest(sampleFlow({ source: { ...WEB, workload: `web-${index}` } }));
    }
    let pieces = 0;
    for await (const piece of formatExposition([metrics], { format: "text", nowMs: () => 0 })) {
      pieces++;
      expect(piece.split("\n").length).toBeLessThan(300);
    }
    expect(pieces).toBe(Math.ceil((40 * 67 + 2) / 250));
  });

  const hasPromtool = spawnSync("promtool", ["--version"]).error === undefined;
  test.skipIf(!hasPromtool)(
    "is accepted by `promtool check metrics` (skipped where promtool is not installed)",
    async () => {
      const { status, stderr } = spawnSync("promtool", ["check", "metrics"], {
        input: await expose(everySource()),
        encoding: "utf8",
      });
      // Istio's own name, which Kiali and its boards look for: the one thing that promtool would like otherwise.
      expect(stderr.trim()).toBe(
        'istio_request_duration_milliseconds use base unit "seconds" instead of "milliseconds"',
      );
      expect(status).toBe(3);
    },
  );

  test.skipIf(!hasPromtool)(
    "promtool refuses an exposition that is broken (skipped where it is not installed)",
    async () => {
      const broken = (await expose(everySource())).replace('reporter="', "reporter=");
      expect(spawnSync("promtool", ["check", "metrics"], { input: broken }).status).toBe(1);
    },
  );

  test("has every metric of the table, and titles each once", async () => {
    const text = await expose(everySource());
    const titled = [...text.matchAll(/^# TYPE (.+)$/gm)].map(([, title]) => title!);
    const tabled = Object.entries(METRIC_TABLE).map(([name, { type }]) => `${name} ${type}`);
    expect(titled).toHaveLength(tabled.length);
    expect(new Set(titled)).toEqual(new Set(tabled));
  });
});

function everySource(): MetricSource[] {
  const metrics = createDataPathMetrics();
  const flow = sampleFlow();
  metrics.recordRequest(flow);
  metrics.tcpOpened(flow);
  metrics.tcpBytes(flow, 1, 1);
  metrics.recordTcp(flow);
  metrics.traffic.ejected("orders", "consecutive-5xx");
  metrics.traffic.retried("orders");
  metrics.traffic.overflowed("orders", "requests");
  const facts = {
    certificateNotAfterMs: 1,
    policyRevision: "0a1b",
    policyConfirmedMs: 0,
    flowLinesDropped: 0,
    flowExport: { exported: 1, dropped: { refused: 1 } },
    spanExport: { exported: 1, dropped: { refused: 1 } },
  };
  const process = {
    version: "0.1.0",
    nodeVersion: "v26.10.0",
    startedMs: 1,
    cpuSec: 0.5,
    eventLoopActiveSec: 0.25,
    residentBytes: 70_000_000,
    heapUsedBytes: 9_000_000,
  };
  return [
    metrics,
    sidecarGauges(
      () => facts,
      () => 2,
    ),
    processGauges(() => process),
    watchLoopLag(createSimClock(0)),
  ];
}
