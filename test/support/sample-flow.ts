import { type FlowPeer, type FlowRecord, NO_TLS } from "../../src/observe/flow.ts";

/** The caller of the sample: web of namespace shop. */
export const WEB: FlowPeer = Object.freeze({
  ip: "127.0.0.1",
  port: 40_312,
  principal: "spiffe://cluster.local/ns/shop/sa/web",
  namespace: "shop",
  workload: "web",
  service: null,
  labels: null,
});

/** The called workload of the sample: payments of namespace shop. */
export const PAYMENTS: FlowPeer = Object.freeze({
  ip: "127.0.0.1",
  port: 8080,
  principal: "spiffe://cluster.local/ns/shop/sa/payments",
  namespace: "shop",
  workload: "payments",
  service: "payments.shop.svc.cluster.local",
  labels: { app: "payments", version: "v1" },
});

/** A request of web to payments that a policy denied, with whatever a test wants otherwise. */
export function sampleFlow(changes: Partial<FlowRecord> = {}): FlowRecord {
  return {
    timeMs: Date.UTC(2026, 10, 22, 9, 30, 0, 125),
    id: "9f1c2a7be03d4455",
    reporter: "destination",
    verdict: "denied",
    reason: "no-allow-rule-matched",
    detail: null,
    policy: null,
    rule: null,
    revision: "0a1b2c3d4e5f",
    ticket: null,
    auditedBy: null,
    dryRun: null,
    dryRunBy: null,
    source: WEB,
    destination: PAYMENTS,
    tls: { version: "TLSv1.3", group: "X25519MLKEM768", sni: "outbound_.80_._.payments.shop.svc.cluster.local" },
    remoteIp: null,
    servicePort: null,
    protocol: "http",
    method: "GET",
    host: "payments",
    path: "/admin/refunds",
    receivedPath: null,
    grpcStatus: null,
    status: 403,
    bytesReceived: 0,
    bytesSent: 0,
    durationMs: 0.412,
    endedBy: "sidecar",
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    spanId: "00f067aa0ba902b7",
    parentSpanId: "53995c3f42cd8ad8",
    upstreamPort: null,
    appSni: null,
    route: null,
    attempts: null,
    retriedFor: null,
    requestPrincipal: null,
    sampledFrom: null,
    ...changes,
  };
}

/** The same, seen where the caller proved no identity. */
export function plaintextFlow(changes: Partial<FlowRecord> = {}): FlowRecord {
  const nobody: FlowPeer = { ...WEB, principal: null, namespace: null, workload: null };
  return sampleFlow({ source: nobody, tls: NO_TLS, reason: "plaintext-refused", ...changes });
}
