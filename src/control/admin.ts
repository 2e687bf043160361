import type { Fault } from "../core/located.ts";
import type { Clock } from "../core/ports.ts";
import type { AdminAnswer, AdminRoute } from "../io/http-admin.ts";
import { chooseFormat, EXPOSITION_CONTENT_TYPES } from "../observe/exposition-format.ts";
import type { MeshSettings } from "../policy/mesh-settings.ts";
import type { PlaneConfig } from "./control-plane.ts";
import type { ClusterFault } from "./kube/cluster-faults.ts";
import type { PolicyStore } from "./distribute/policy-store.ts";
import type { Registry } from "./distribute/registry.ts";
import type { Sidecars, SidecarStatus } from "./distribute/sidecars.ts";
import type { ControlFacts, ControlMetrics } from "./metrics.ts";

/** What `GET /status` of the control plane's admin port answers, as JSON. */
export interface ControlStatus {
  readonly mesh: { readonly name: string } & MeshSettings;
  /** The policy revision in force, i.e. given to the sidecars; what each has in force stands with it. */
  readonly revision: string | null;
  readonly policies: {
    readonly directory: string;
    readonly count: number;
    /** Documents on traffic beside the policies: one revision covers both. */
    readonly trafficRules: number;
    /** Why the files as they are now are not in force; empty: they are. */
    readonly faults: readonly Fault[];
  };
  readonly registry: {
    readonly services: number;
    readonly workloads: number;
    readonly faults: readonly Fault[];
  };
  readonly sidecars: readonly SidecarStatus[];
  /** Of a control plane on Kubernetes. */
  readonly cluster: ClusterStatus | null;
}

/** What the control plane of a cluster says of it. */
export interface ClusterStatus {
  readonly replica: string;
  readonly isLeader: boolean;
  /** Kinds that the API server does not tell us of now: what we know of them is getting old. */
  readonly notFollowed: readonly { readonly kind: string; readonly error: string }[];
  /** What is wrong around us, and what to do about it. */
  readonly faults: readonly ClusterFault[];
  /** Pods in namespaces of the mesh that have no sidecar. */
  readonly meshless: readonly { readonly pod: string; readonly reason: string }[];
}

export interface AdminSources {
  readonly config: PlaneConfig;
  /** Where policies come from, in words for people. */
  readonly source: string;
  readonly metrics: ControlMetrics;
  /** When the authority's certificates, and the one that the control plane shows, end. */
  notAfterMs(): ControlFacts["notAfterMs"];
  readonly clock: Clock;
  readonly policies: PolicyStore;
  readonly registry: Registry;
  readonly sidecars: Sidecars;
  readonly cluster: (() => ClusterStatus) | null;
}

/** `/status`, `/metrics` and `/readyz`. There is nothing secret in any. */
export function adminRoutes(sources: AdminSources): readonly AdminRoute[] {
  return [
    { path: "/status", answer: () => json(statusOf(sources)) },
    { path: "/metrics", answer: (_query, asked) => exposition(sources, asked?.accept) },
    // The port is opened last: who gets an answer finds everything open.
    { path: "/readyz", answer: () => ({ status: 200, contentType: "text/plain; charset=utf-8", body: "ready\n" }) },
  ];
}

function statusOf({ config, source, policies, registry, sidecars, cluster }: AdminSources): ControlStatus {
  const inForce = policies.content.get();
  const { serviceCount, workloads } = registry.content.get();
  return {
    mesh: { name: config.name, ...config.mesh },
    revision: inForce?.revision ?? null,
    policies: {
      directory: source,
      count: inForce?.documents.length ?? 0,
      trafficRules: inForce?.traffic.length ?? 0,
      faults: policies.faults.get(),
    },
    registry: { services: serviceCount, workloads: workloads.length, faults: registry.faults.get() },
    sidecars: sidecars.status(),
    cluster: cluster?.() ?? null,
  };
}

async function exposition(sources: AdminSources, accept: string | undefined): Promise<AdminAnswer> {
  const { metrics, policies, registry, sidecars, clock } = sources;
  const format = chooseFormat(accept);
  const facts = {
    nowMs: clock.wallMs(),
    connectedSidecars: sidecars.status().filter((sidecar) => sidecar.connected).length,
    services: registry.content.get().serviceCount,
    policyRevision: policies.content.get()?.revision ?? null,
    policyFaults: policies.faults.get().length,
    registryFaults: registry.faults.get().length,
    notAfterMs: sources.notAfterMs(),
    cluster: sources.cluster?.() ?? null,
  };
  const body = await metrics.expose(facts, { format, nowMs: () => clock.monotonicMs() });
  return { status: 200, contentType: EXPOSITION_CONTENT_TYPES[format], body };
}

function json(value: ControlStatus): AdminAnswer {
  return { status: 200, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
}
