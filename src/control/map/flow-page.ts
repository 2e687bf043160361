import type { MapFlow } from "../../api/map-messages.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import { endsOf } from "./graph.ts";
import type { Places } from "./places.ts";
import { mayReadNamespace, type Reader } from "./readers.ts";

/** A record as the page shows it. Which rule decided is for readers of the namespace that the rule guards. */
export function mapFlow(flow: FlowRecord, places: Places, reader: Reader): MapFlow {
  const { source, destination, tls } = flow;
  const mayReadPolicy = mayReadNamespace(reader, destination.namespace);
  return {
    id: flow.id,
    timeMs: flow.timeMs,
    reporter: flow.reporter,
    verdict: flow.verdict,
    reason: flow.reason,
    ...endsOf(flow, places),
    source: { principal: source.principal, address: formatAddress(source.ip, source.port) },
    destination: { principal: destination.principal, service: destination.service, port: destination.port },
    protocol: flow.protocol,
    method: flow.method,
    host: flow.host,
    path: flow.path,
    receivedPath: flow.receivedPath,
    status: flow.status,
    grpcStatus: flow.grpcStatus,
    durationMs: flow.durationMs,
    bytesReceived: flow.bytesReceived,
    bytesSent: flow.bytesSent,
    policy: mayReadPolicy ? flow.policy : null,
    rule: mayReadPolicy ? flow.rule : null,
    revision: flow.revision,
    tls: tls.version,
    group: tls.group,
    traceId: flow.traceId,
  };
}

/** `ip:port`, with brackets around IPv6 (RFC 3986 section 3.2.2). */
function formatAddress(ip: string, port: number): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}
