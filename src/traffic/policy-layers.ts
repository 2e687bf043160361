import { listOf, object, oneOf, optional, parsed, refused, required, NOT_YET } from "../core/schema.ts";
import { CONNECTION_POOL } from "./connection-pool.ts";
import { DEFAULT_TRAFFIC_POLICY } from "./default-traffic.ts";
import { LOAD_BALANCER } from "./load-balancer.ts";
import { OUTLIER_DETECTION } from "./outlier-detection.ts";
import { PORT_SELECTOR } from "./ports.ts";
import type { TrafficPolicy } from "./service-traffic.ts";

/** A `trafficPolicy` as it is written: null where a block is left out. */
export interface PolicyBlocks {
  readonly loadBalancer: TrafficPolicy["loadBalancer"] | null;
  readonly connectionPool: TrafficPolicy["connectionPool"] | null;
  readonly outlierDetection: TrafficPolicy["outlierDetection"];
  readonly tls: TrafficPolicy["tls"] | null;
}

/** What holds for all ports, and what holds for some instead. */
export interface PolicyLayers {
  readonly base: PolicyBlocks;
  readonly ports: ReadonlyMap<number, PolicyBlocks>;
}

const TLS_MODE = parsed(oneOf("ISTIO_MUTUAL", "DISABLE", "SIMPLE", "MUTUAL"), (mode): TrafficPolicy["tls"] => {
  if (mode === "SIMPLE" || mode === "MUTUAL")
    throw new Error(`${mode} is not taken: a sidecar speaks the mesh's mutual TLS, or (DISABLE) none`);
  return mode;
});

const TLS = parsed(object({ mode: required(TLS_MODE) }), ({ mode }) => mode);

const BLOCKS = {
  loadBalancer: optional(LOAD_BALANCER),
  connectionPool: optional(CONNECTION_POOL),
  outlierDetection: optional(OUTLIER_DETECTION),
  tls: optional(TLS),
};

const PORT_BLOCKS = object({ port: required(PORT_SELECTOR), ...BLOCKS });

/** A `trafficPolicy`. */
export const TRAFFIC_POLICY = parsed(
  object({
    ...BLOCKS,
    portLevelSettings: optional(listOf(PORT_BLOCKS)),
    tunnel: refused(NOT_YET),
    proxyProtocol: refused(NOT_YET),
    retryBudget: refused(NOT_YET),
  }),
  (fields): PolicyLayers => {
    const ports = new Map<number, PolicyBlocks>();
    for (const { port, ...blocks } of fields.portLevelSettings ?? []) {
      if (ports.has(port.number)) throw new Error(`has two portLevelSettings for port ${port.number}`);
      ports.set(port.number, blocksOf(blocks));
    }
    return { base: blocksOf(fields), ports };
  },
);

const NO_BLOCKS: PolicyBlocks = {
  loadBalancer: null,
  connectionPool: null,
  outlierDetection: null,
  tls: null,
};
export const NO_LAYERS: PolicyLayers = { base: NO_BLOCKS, ports: new Map() };

/**
 * What holds on a port, of a subset where one is given (Istio's MergeTrafficPolicy): a port's settings take nothing from
 * those for all ports, not even the blocks that they leave out; a subset's blocks take the place of the rule's.
 */
export function policyAt(layers: PolicyLayers, subset: PolicyLayers | null, port: number | null): TrafficPolicy {
  const general = atPort(layers, port);
  if (subset === null) return filled(general);
  if (port !== null && subset.ports.has(port)) return filled(subset.ports.get(port)!);
  return filled({
    loadBalancer: subset.base.loadBalancer ?? general.loadBalancer,
    connectionPool: subset.base.connectionPool ?? general.connectionPool,
    outlierDetection: subset.base.outlierDetection ?? general.outlierDetection,
    tls: subset.base.tls ?? general.tls,
  });
}

function atPort({ base, ports }: PolicyLayers, port: number | null): PolicyBlocks {
  return (port === null ? undefined : ports.get(port)) ?? base;
}

function filled({ loadBalancer, connectionPool, outlierDetection, tls }: PolicyBlocks): TrafficPolicy {
  return {
    loadBalancer: loadBalancer ?? DEFAULT_TRAFFIC_POLICY.loadBalancer,
    connectionPool: connectionPool ?? DEFAULT_TRAFFIC_POLICY.connectionPool,
    outlierDetection,
    tls: tls ?? DEFAULT_TRAFFIC_POLICY.tls,
  };
}

function blocksOf({ loadBalancer, connectionPool, outlierDetection, tls }: PolicyBlocks): PolicyBlocks {
  return { loadBalancer, connectionPool, outlierDetection, tls };
}
