import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import type { FlowPeer } from "../../../src/observe/flow.ts";
import { formatExposition } from "../../../src/observe/exposition.ts";
import { createDataPathMetrics, type DataPathMetrics } from "../../../src/observe/metrics.ts";
import { expose, readSamples } from "../../support/expose.ts";
import { sampleFlow, WEB } from "../../support/sample-flow.ts";

const IDLE = LIMITS.metricSeriesIdleMs;
const callerOf = (workload: string): FlowPeer => ({ ...WEB, workload });
const requestOf = (workload: string) => sampleFlow({ source: callerOf(workload) });

/** A scrape at a moment → for each caller the value told. */
async function scrape(metrics: DataPathMetrics, nowMs: number, name = "istio_requests_total") {
  const samples = readSamples(await expose([metrics], { nowMs }), name);
  return Object.fromEntries(samples.map(({ labels, value }) => [labels["source_workload"], value]));
}

describe("a label set that no longer moves", () => {
  test("is told for an hour and then no more, from any of its metrics", async () => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(requestOf("gone"), true);
    expect(await scrape(metrics, 0)).toEqual({ gone: 1 });
    expect(await scrape(metrics, IDLE - 1)).toEqual({ gone: 1 });
    // This scrape still tells it; it is forgotten behind it.
    expect(await scrape(metrics, IDLE)).toEqual({ gone: 1 });
    expect(await expose([metrics], { nowMs: IDLE + 1, format: "openmetrics" })).not.toContain("istio_");
  });

  test("stays while others go, and each keeps its own numbers", async () => {
    const metrics = createDataPathMetrics();
    const lasting = requestOf("lasting");
    for (const workload of ["a", "b"]) metrics.recordRequest(requestOf(workload));
    metrics.recordRequest(lasting);
    await scrape(metrics, 0);
    metrics.recordRequest(lasting);
    await scrape(metrics, IDLE / 2);
    expect(await scrape(metrics, IDLE)).toEqual({ a: 1, b: 1, lasting: 2 });
    expect(await scrape(metrics, IDLE + 1)).toEqual({ lasting: 2 });
    // The places of a and b are given to others, and nobody who knew them counts there.
    metrics.recordRequest(requestOf("c"));
    metrics.recordRequest(requestOf("d"));
    metrics.recordRequest(lasting);
    expect(await scrape(metrics, IDLE + 2)).toEqual({ lasting: 3, c: 1, d: 1 });
  });

  test("begins again at zero when it comes back, under the very objects that it had", async () => {
    const metrics = createDataPathMetrics();
    const flow = requestOf("back");
    for (let each = 0; each < 5; each++) metrics.recordRequest(flow);
    await scrape(metrics, 0);
    await scrape(metrics, IDLE);
    metrics.recordRequest(requestOf("other"));
    metrics.recordRequest(flow);
    expect(await scrape(metrics, IDLE + 1)).toEqual({ other: 1, back: 1 });
    const text = await expose([metrics], { nowMs: IDLE + 1 });
    const buckets = readSamples(text, "istio_request_duration_milliseconds_bucket");
    const last = buckets.filter(({ labels }) => labels["le"] === "+Inf" && labels["source_workload"] === "back");
    expect(last.map(({ value }) => value)).toEqual([1]);
  });

  test("is never forgotten before a scrape has told it", async () => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(requestOf("early"));
    await scrape(metrics, 0);
    metrics.recordRequest(requestOf("early"));
    // Nobody came for days: the second request is told, and then for an hour.
    expect(await scrape(metrics, 50 * IDLE)).toEqual({ early: 2 });
    expect(await scrape(metrics, 51 * IDLE - 1)).toEqual({ early: 2 });
  });

  test("is not forgotten behind a scrape that broke off", async () => {
    const metrics = createDataPathMetrics();
    for (let each = 0; each < 20; each++) metrics.recordRequest(requestOf(`w-${each}`));
    await scrape(metrics, 0);
    for await (const _piece of formatExposition([metrics], { format: "text", nowMs: () => IDLE })) break;
    expect(Object.keys(await scrape(metrics, IDLE))).toHaveLength(20);
  });

  test("what moves while a scrape goes on is told by the next", async () => {
    const metrics = createDataPathMetrics();
    const flow = requestOf("busy");
    metrics.recordRequest(flow);
    await scrape(metrics, 0);
    for await (const _piece of formatExposition([metrics], { format: "text", nowMs: () => IDLE }))
      metrics.recordRequest(flow);
    expect((await scrape(metrics, IDLE + 1))["busy"]).toBeGreaterThan(1);
  });
});

describe("an opaque connection", () => {
  const OPENED = "istio_tcp_connections_opened_total";

  test("keeps its series for as long as it is open, however silent", async () => {
    const metrics = createDataPathMetrics();
    const flow = sampleFlow({ protocol: "tcp", verdict: "allowed", reason: "allow-rule-matched" });
    metrics.tcpOpened(flow);
    await scrape(metrics, 0, OPENED);
    expect(await scrape(metrics, 3 * IDLE, OPENED)).toEqual({ web: 1 });
    metrics.tcpBytes(flow, 9, 0);
    expect(await scrape(metrics, 4 * IDLE, "istio_tcp_received_bytes_total")).toEqual({ web: 9 });
    metrics.recordTcp(flow);
    expect(await scrape(metrics, 5 * IDLE, "istio_tcp_connections_closed_total")).toEqual({ web: 1 });
    await scrape(metrics, 6 * IDLE, OPENED);
    expect(await scrape(metrics, 6 * IDLE + 1, OPENED)).toEqual({});
  });
});

describe("what outlier detection leaves out", () => {
  test("is told for as long as it is left out, and its count for an hour", async () => {
    const metrics = createDataPathMetrics();
    metrics.traffic.ejected("orders", "consecutive-5xx");
    const told = async (nowMs: number) => (await expose([metrics], { nowMs })).match(/^cardea_outlier\S+ \S+$/gm);
    const active = 'cardea_outlier_ejections_active{destination_service="orders"}';
    await told(0);
    await told(IDLE);
    expect(await told(IDLE + 1)).toEqual([`${active} 1`]);
    metrics.traffic.returned("orders");
    expect(await told(IDLE + 2)).toEqual([`${active} 0`]);
    await told(2 * IDLE + 2);
    expect(await told(2 * IDLE + 3)).toBeNull();
  });
});

describe("over the limit", () => {
  test("services are counted under one that is unknown, and nothing goes below zero when it is taken back", async () => {
    const metrics = createDataPathMetrics(1);
    for (const service of ["a", "b", "c"]) metrics.traffic.ejected(service, "consecutive-5xx");
    for (const service of ["a", "b"]) metrics.traffic.returned(service);
    const active = readSamples(await expose([metrics]), "cardea_outlier_ejections_active");
    expect(active).toEqual([
      { value: 0, labels: { destination_service: "a" } },
      { value: 1, labels: { destination_service: "unknown", otel_metric_overflow: "true" } },
    ]);
    const ejections = readSamples(await expose([metrics]), "cardea_outlier_ejections_total");
    expect(ejections.map(({ value }) => value)).toEqual([1, 2]);
    expect(readSamples(await expose([metrics]), "cardea_metric_overflow_total")[0]!.value).toBe(2);
  });

  test("room comes back when label sets die, and the count of what was over stays", async () => {
    const metrics = createDataPathMetrics(2);
    for (const workload of ["a", "b", "c"]) metrics.recordRequest(requestOf(workload));
    expect(await scrape(metrics, 0)).toEqual({ a: 1, b: 1, unknown: 1 });
    await scrape(metrics, IDLE);
    metrics.recordRequest(requestOf("c"));
    expect(await scrape(metrics, IDLE + 1)).toEqual({ unknown: 1, c: 1 });
    const text = await expose([metrics], { nowMs: 9 * IDLE });
    expect(readSamples(text, "cardea_metric_overflow_total")[0]!.value).toBe(1);
    expect(readSamples(text, "cardea_metric_series")[0]).toEqual({ value: 2, labels: { kind: "requests" } });
  });
});

describe("a million label sets", () => {
  test("leave no more than the limit in memory and in a scrape, and every request is counted", {
    timeout: 300_000,
  }, async () => {
    const metrics = createDataPathMetrics();
    for (let each = 0; each < 1_000_000; each++) metrics.recordRequest(requestOf(`w-${each}`), true);
    let pieces = 0;
    let longest = 0;
    let counted = 0;
    for await (const piece of formatExposition([metrics], { format: "openmetrics", nowMs: () => 0 })) {
      pieces++;
      longest = Math.max(longest, piece.length);
      for (const { value } of readSamples(piece, "istio_requests_total")) counted += value;
    }
    expect(counted).toBe(1_000_000);
    expect(pieces).toBeGreaterThan(500);
    // Between two pieces traffic goes on: 250 samples of less than 1.2 kB each.
    expect(longest).toBeLessThan(300_000);
    expect(readSamples(await expose([metrics]), "cardea_metric_series")[0]!.value).toBe(LIMITS.metricSeriesMax + 1);
  });
});
