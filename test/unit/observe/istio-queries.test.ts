import { describe, expect, test } from "vitest";
import { createControlMetrics } from "../../../src/control/metrics.ts";
import { processGauges } from "../../../src/observe/gauges.ts";
import { createDataPathMetrics } from "../../../src/observe/metrics.ts";
import { expose, readSamples } from "../../support/expose.ts";
import { ISTIO_QUERIES, NOT_OURS } from "../../support/istio-queries.ts";
import { sampleFlow } from "../../support/sample-flow.ts";

// What Istio's Grafana boards and Kiali ask for must be there, under each label that they use.

describe.each(ISTIO_QUERIES)("$source", ({ metrics }) => {
  test.each(Object.entries(metrics))("finds %s with its labels", async (name, labels) => {
    const samples = readSamples(await everything(), name);
    expect(samples).not.toEqual([]);
    for (const sample of samples) expect(Object.keys(sample.labels)).toEqual(expect.arrayContaining([...labels]));
  });
});

test("what is said to be missing is missing, so that the list is true", async () => {
  const text = await everything();
  const names = Object.keys(NOT_OURS).filter((name) => /^\w+$/.test(name));
  expect(names.length).toBeGreaterThan(5);
  for (const name of names) expect(text).not.toContain(name);
});

test("a workload that is known is in Istio's only cluster, and Kiali leaves it in the graph", async () => {
  const metrics = createDataPathMetrics();
  const nobody = { principal: null, namespace: null, workload: null, service: null, labels: null };
  const flow = sampleFlow();
  metrics.recordRequest({ ...flow, source: { ...flow.source, ...nobody } });
  metrics.recordRequest({
    ...flow,
    destination: { ...flow.destination, ...nobody, service: "api.shop.svc.cluster.local" },
  });
  const clusters = readSamples(await expose([metrics]), "istio_requests_total").map(({ labels }) => [
    labels["source_cluster"],
    labels["destination_cluster"],
  ]);
  expect(clusters).toEqual([
    ["unknown", "Kubernetes"],
    ["Kubernetes", "Kubernetes"],
  ]);
});

async function everything(): Promise<string> {
  const data = createDataPathMetrics();
  const flow = sampleFlow();
  data.recordRequest(flow);
  data.tcpOpened(flow);
  data.tcpBytes(flow, 1, 1);
  data.recordTcp(flow);
  const gauges = processGauges(() => ({
    version: "0.1.0",
    nodeVersion: "v26.10.0",
    startedMs: 1,
    cpuSec: 0.5,
    eventLoopActiveSec: 0.25,
    residentBytes: 70_000_000,
    heapUsedBytes: 9_000_000,
  }));
  const control = createControlMetrics("0.1.0");
  const facts = {
    nowMs: 0,
    connectedSidecars: 0,
    services: 0,
    policyRevision: null,
    policyFaults: 0,
    registryFaults: 0,
    cluster: null,
    notAfterMs: { root: 0, intermediate: 0, serving: 0 },
  };
  let text = await expose([data, gauges]);
  for await (const piece of await control.expose(facts, { format: "text", nowMs: () => 0 })) text += piece;
  return text;
}
