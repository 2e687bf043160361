import type { MeshService } from "../../config/mesh.ts";

/**
 * Where a local mesh's ports are when nobody is in the way. The last two digits are the ones that Istio's users know:
 * 15012 control (15017 for flow records, as 4317 elsewhere; 4245 for Hubble's API, where its clients look), 15080 the map, and for the n-th service 15n00 admin, 15n01 outbound, 15n06 inbound, 15n08 HBONE, 15n20 metrics,
 * 15n21 readiness.
 */
export const DEFAULT_PORT_BASE = 15_000;

const BLOCK_SIZE = 100;

export interface ServicePortLayout {
  readonly admin: number;
  readonly outbound: number;
  /** One for each declared port, in order. */
  readonly inbound: readonly number[];
  readonly hbone: number;
  readonly metrics: number;
  readonly readiness: number;
  readonly upstreams: readonly number[];
  /** Where the app listens, one for each declared port. */
  readonly app: readonly number[];
}

export function controlPortsOf(portBase: number): {
  readonly grpc: number;
  readonly admin: number;
  readonly flows: number;
  readonly hubble: number;
  readonly map: number;
} {
  // Hubble's own port is one for the machine: a mesh at other ports keeps to its own.
  const hubble = portBase === DEFAULT_PORT_BASE ? 4_245 : portBase + 45;
  return { grpc: portBase + 12, admin: portBase + 14, flows: portBase + 17, hubble, map: portBase + 80 };
}

/** The block of the service with this index, from 0. */
export function layOutPorts(
  portBase: number,
  index: number,
  service: Pick<MeshService, "ports" | "upstreams">,
): ServicePortLayout {
  const block = portBase + BLOCK_SIZE * (index + 1);
  return {
    admin: block,
    outbound: block + 1,
    // Around the HBONE port.
    inbound: service.ports.map((_, i) => block + (i < 2 ? 6 : 7) + i),
    hbone: block + 8,
    metrics: block + 20,
    readiness: block + 21,
    upstreams: service.upstreams.map((_, i) => block + 30 + i),
    app: service.ports.map((_, i) => block + 80 + i),
  };
}

/** All ports of a layout. */
export function allPortsOf(layout: ServicePortLayout): readonly number[] {
  const { admin, outbound, inbound, hbone, metrics, readiness, upstreams, app } = layout;
  return [admin, outbound, ...inbound, hbone, metrics, readiness, ...upstreams, ...app];
}
