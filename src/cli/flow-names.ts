import { parseSpiffeId, workloadNameOf } from "../core/spiffe-id.ts";
import type { FlowPeer, FlowRecord } from "../observe/flow.ts";
import { visibleText } from "./flow-text.ts";

/** Who called, as short as it can be told: the workload, else what its identity says, else where it came from. */
export function nameSource(flow: FlowRecord): string {
  return visibleText(nameByIdentity(flow.source) ?? flow.source.ip);
}

/** Who was called: the workload, else the service or host that was asked for, else where the bytes went. */
export function nameDestination(flow: FlowRecord): string {
  const { destination, host } = flow;
  return visibleText(
    destination.workload ?? destination.service ?? nameByIdentity(destination) ?? host ?? formatAddress(destination),
  );
}

/** `namespace/name` where the namespace is known. */
export function withNamespace(name: string, peer: FlowPeer): string {
  return peer.namespace === null ? name : `${visibleText(peer.namespace)}/${name}`;
}

/** What was asked: method and path, or the port of an opaque connection. */
export function nameRequest(flow: FlowRecord): string {
  if (flow.method !== null) return visibleText(`${flow.method} ${flow.path ?? ""}`);
  return `${flow.protocol} :${flow.destination.port}`;
}

/** `ip:port`, with brackets around IPv6 (RFC 3986 section 3.2.2). */
export function formatAddress(peer: FlowPeer): string {
  return peer.ip.includes(":") ? `[${peer.ip}]:${peer.port}` : `${peer.ip}:${peer.port}`;
}

function nameByIdentity(peer: FlowPeer): string | null {
  if (peer.workload !== null || peer.principal === null) return peer.workload;
  try {
    return workloadNameOf(parseSpiffeId(peer.principal))?.serviceAccount ?? peer.principal;
  } catch {
    return peer.principal;
  }
}
