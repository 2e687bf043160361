/**
 * What a workload's port can be declared to speak. HTTP2 and GRPC mean that the app takes HTTP/2 with prior knowledge
 * and nothing else; towards policy all three of HTTP, HTTP2 and GRPC are HTTP.
 */
export const PORT_PROTOCOLS = ["HTTP", "HTTP2", "GRPC", "TCP"] as const;
export type PortProtocol = (typeof PORT_PROTOCOLS)[number];

/** Whether policy sees requests on such a port, rather than connections. */
export function carriesRequests(protocol: PortProtocol): boolean {
  return protocol !== "TCP";
}
