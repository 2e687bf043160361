import type { FlowPeer, FlowRecord } from "../../src/observe/flow.ts";

/** A mesh's traffic, made up: the same for the same numbers, and no two records alike. */
export interface Sample {
  readonly services: number;
  readonly callsPerService: number;
}

interface Edge {
  readonly source: FlowPeer;
  readonly destination: FlowPeer;
}

/** Makes flows one after the other; each edge comes by in turn, in runs of a few, as batches of one sidecar do. */
export function sampleFlows({ services, callsPerService }: Sample): (index: number, timeMs: number) => FlowRecord {
  const edges: Edge[] = [];
  for (let from = 0; from < services; from++) {
    for (let i = 1; i <= callsPerService; i++) {
      const to = (from * 7 + i * 13) % services;
      edges.push({ source: peer(from, 40_000 + i), destination: peer(to, 8_080) });
    }
  }
  const tls = { version: "TLSv1.3", group: null, sni: null };
  return (index, timeMs) => {
    const random = scramble(index);
    const { source, destination } = edges[Math.floor(index / RUN) % edges.length]!;
    const isDenied = random % 200 === 0;
    return {
      timeMs,
      id: hex(random, index).slice(0, 16),
      reporter: "destination",
      verdict: isDenied ? "denied" : "allowed",
      reason: isDenied ? "no-allow-rule-matched" : "allow-rule-matched",
      detail: null,
      policy: isDenied ? null : `${destination.namespace}/${destination.workload}`,
      rule: isDenied ? null : random % 3,
      revision: "0a1b2c3d4e5f",
      ticket: null,
      auditedBy: null,
      dryRun: null,
      dryRunBy: null,
      source,
      destination,
      remoteIp: null,
      servicePort: null,
      protocol: "http",
      method: random % 5 === 0 ? "POST" : "GET",
      host: destination.service,
      // One in four names something of its own.
      path: random % 4 === 0 ? `/orders/${random}/items` : `/v1/things/${random % 40}`,
      receivedPath: null,
      status: isDenied ? 403 : random % 97 === 0 ? 500 : 200,
      grpcStatus: null,
      tls,
      bytesReceived: random % 700,
      bytesSent: random % 9_000,
      durationMs: 0.3 + (random % 5_000) / 250,
      endedBy: "upstream",
      traceId: hex(random, index + 1),
      spanId: hex(random + 1, index).slice(0, 16),
      parentSpanId: hex(random + 2, index).slice(0, 16),
      upstreamPort: 50_000,
      appSni: null,
      route: null,
      attempts: null,
      retriedFor: null,
      requestPrincipal: null,
      sampledFrom: null,
    };
  };
}

/** Flows of one edge that come one after the other: `store.ts` may say so. */
const RUN = Number(process.env["RUN"] ?? 32);

function peer(index: number, port: number): FlowPeer {
  const namespace = `team-${index % 20}`;
  const workload = `service-${index}`;
  return {
    ip: `10.${index % 200}.${Math.floor(index / 200)}.7`,
    port,
    principal: `spiffe://cluster.local/ns/${namespace}/sa/${workload}`,
    namespace,
    workload,
    service: `${workload}.${namespace}.svc.cluster.local`,
    labels: { app: workload, "service.istio.io/canonical-revision": "v1" },
  };
}

function scramble(index: number): number {
  return Math.imul(index + 1, 0x9e3779b1) >>> 0;
}

/** 32 digits that look like chance. */
function hex(random: number, index: number): string {
  const parts = [
    random,
    Math.imul(random, 0x85ebca6b),
    Math.imul(index + 7, 0xc2b2ae35),
    Math.imul(random ^ index, 0x27d4eb2f),
  ];
  return parts.map((part) => (part >>> 0).toString(16).padStart(8, "0")).join("");
}
