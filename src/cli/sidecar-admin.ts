import type { ProxyConfig } from "../config/proxy-config.ts";
import type { Latest } from "../core/latest.ts";
import type { Clock, LineSink } from "../core/ports.ts";
import { ISTIO_METRICS_PATH } from "../core/pod-ports.ts";
import { spiffeIdFor } from "../core/spiffe-id.ts";
import type { AdminAnswer, AdminAsked, AdminRoute } from "../io/http-admin.ts";
import type { DataPathMetrics } from "../observe/metrics.ts";
import { encodePem } from "../pki/pem.ts";
import type { Discovery } from "../proxy/discovery/discovery.ts";
import type { FlowExporter } from "../proxy/flow-export/exporter.ts";
import type { Identity } from "../proxy/identity/identity.ts";
import type { TapPoint } from "../proxy/record.ts";
import type { Sidecar } from "../proxy/sidecar.ts";
import type { SpanExporter } from "../proxy/spans/span-exporter.ts";
import type { Exposition } from "./sidecar-metrics.ts";
import {
  CERTS_PATH,
  METRICS_PATH,
  SIDECAR_READY_PATH,
  SIDECAR_STATUS_PATH,
  SIDECAR_TAP_PATH,
} from "./sidecar-paths.ts";

/** What a sidecar's own ports tell of. */
export interface SidecarParts {
  readonly config: ProxyConfig;
  readonly sidecar: Sidecar;
  readonly discovery: Discovery;
  readonly identity: Latest<Identity | null>;
  readonly metrics: DataPathMetrics;
  readonly lines: LineSink;
  /** Where flow records go besides; null: nowhere. */
  readonly flows: Pick<FlowExporter, "counts"> | null;
  /** Where spans go; null: there are none. */
  readonly spans: Pick<SpanExporter, "counts"> | null;
  readonly clock: Clock;
  readonly version: string;
  readonly tapPoint: TapPoint;
}

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json";

/** The admin port: on loopback, and nothing secret. */
export function adminRoutes(parts: SidecarParts): readonly AdminRoute[] {
  return [
    { path: CERTS_PATH, answer: () => certificates(parts.identity.get()) },
    { path: SIDECAR_STATUS_PATH, answer: () => json(statusOf(parts)) },
    { path: "/config", answer: () => json(parts.config) },
    // Loaded by the first who watches.
    { path: SIDECAR_TAP_PATH, answer: async () => (await import("./sidecar-tap.ts")).tapAnswer(parts) },
    ...readinessRoutes(parts),
  ];
}

export function readinessRoutes(parts: SidecarParts): readonly AdminRoute[] {
  return [{ path: SIDECAR_READY_PATH, answer: () => readiness(parts) }];
}

/** What stands behind it is loaded when the first scrape comes: a sidecar listens to its callers first. */
export function metricsRoutes(parts: SidecarParts): readonly AdminRoute[] {
  const confirmedMs = followConfirmation(parts);
  let exposition: Promise<Exposition> | null = null;
  const answer = async (_query: URLSearchParams, asked?: AdminAsked): Promise<AdminAnswer> => {
    exposition ??= import("./sidecar-metrics.ts").then(({ openExposition }) => openExposition(parts, confirmedMs));
    return (await exposition).answer(asked?.accept);
  };
  return [METRICS_PATH, ISTIO_METRICS_PATH].map((path) => ({ path, answer }));
}

/** When the control plane was last there to say that the policies are still these; null before the first ones. */
function followConfirmation({ discovery, clock }: SidecarParts): () => number | null {
  let lostMs: number | null = null;
  discovery.connection.subscribe(({ at }) => {
    if (at === "connected") lostMs = null;
    else lostMs ??= clock.wallMs();
  });
  return () => (discovery.policies.get() === null ? null : (lostMs ?? clock.wallMs()));
}

function readiness({ sidecar, identity, discovery }: SidecarParts): AdminAnswer {
  if (sidecar.isReady) return { status: 200, contentType: TEXT, body: "ready\n" };
  const missing = [
    identity.get() === null ? "no certificate yet" : null,
    discovery.policies.get() === null ? "no policies yet" : null,
  ].filter((each) => each !== null);
  return { status: 503, contentType: TEXT, body: `${missing.join(", ") || "draining"}\n` };
}

function certificates(identity: Identity | null): AdminAnswer {
  if (identity === null) return { status: 503, contentType: TEXT, body: "no certificate yet\n" };
  const body = identity.chainDer.map((der) => encodePem("CERTIFICATE", der)).join("");
  return { status: 200, contentType: "application/x-pem-file", body };
}

function statusOf({ config, sidecar, discovery, identity, version }: SidecarParts): object {
  const { name, namespace, serviceAccount, trustDomain } = config;
  const held = identity.get();
  return {
    version,
    workload: { name, namespace, principal: spiffeIdFor(trustDomain, namespace, serviceAccount) },
    isReady: sidecar.isReady,
    connections: sidecar.connectionCount,
    addresses: sidecar.addresses,
    certificate: held === null ? null : { serial: held.serial, notAfter: new Date(held.notAfterMs).toISOString() },
    control: discovery.connection.get(),
    policyRevision: discovery.policies.get()?.revision ?? null,
    services: discovery.registry.get().services.map((service) => service.fqdn),
  };
}

function json(value: object): AdminAnswer {
  return { status: 200, contentType: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}
