/**
 * What a workload's port can be declared to speak. AUTO: nothing is declared, and the first bytes tell (ADR 0017).
 * HTTP2 and GRPC mean that the app takes HTTP/2 with prior knowledge and nothing else; towards policy all three of
 * HTTP, HTTP2 and GRPC are HTTP. TLS is the app's own, which passes through; TCP is everything else.
 */
export const PORT_PROTOCOLS = ["AUTO", "HTTP", "HTTP2", "GRPC", "TCP", "TLS"] as const;
export type PortProtocol = (typeof PORT_PROTOCOLS)[number];

/** Whether it is declared that policy sees requests on such a port, rather than connections. */
export function carriesRequests(protocol: PortProtocol): boolean {
  return protocol === "HTTP" || protocol === "HTTP2" || protocol === "GRPC";
}

/** A port as a Kubernetes Service writes it down. */
export interface DeclaredPort {
  readonly port: number;
  readonly name: string | null;
  readonly appProtocol: string | null;
}

/**
 * What a port's declaration says, read as Istio reads it: `appProtocol` first, else the port's name up to its first
 * dash; case does not matter. What says nothing that we know is AUTO, but for the ports of protocols in which the server
 * speaks first. Null: UDP, which this mesh does not carry.
 */
export function declaredProtocol({ port, name, appProtocol }: DeclaredPort): PortProtocol | null {
  const standard = appProtocol === null ? undefined : KUBERNETES_PROTOCOLS.get(appProtocol.toLowerCase());
  if (standard !== undefined) return standard;
  const text = (appProtocol ?? name ?? "").toLowerCase();
  // Its name alone holds a dash.
  const word = text.startsWith("grpc-web") ? "grpc-web" : text.split("-", 1)[0]!;
  if (word === "udp") return null;
  return protocolOfWord(word) ?? (SERVER_FIRST_PORTS.has(port) ? "TCP" : "AUTO");
}

/** One of the names that Istio and IANA have for protocols → what it means to us; null when we know none such. */
export function protocolOfWord(word: string): PortProtocol | null {
  return PROTOCOL_WORDS.get(word.toLowerCase()) ?? null;
}

/** The standard names with a prefix. Kubernetes API, ServicePort.appProtocol. */
const KUBERNETES_PROTOCOLS: ReadonlyMap<string, PortProtocol> = new Map([
  ["kubernetes.io/h2c", "HTTP2"],
  ["kubernetes.io/ws", "HTTP"],
  ["kubernetes.io/wss", "TLS"],
]);

/**
 * Istio's names (pkg/config/protocol), and those of well-known protocols in which the server speaks first or which
 * nobody could take for HTTP: whoever declares one of these waits for no detection.
 */
const PROTOCOL_WORDS: ReadonlyMap<string, PortProtocol> = new Map([
  ["http", "HTTP"],
  ["http_proxy", "HTTP"],
  ["http2", "HTTP2"],
  ["grpc", "GRPC"],
  // It is HTTP of either version; Istio speaks HTTP/2 to its server.
  ["grpc-web", "HTTP2"],
  ["https", "TLS"],
  ["tls", "TLS"],
  ["tcp", "TCP"],
  ["mongo", "TCP"],
  ["mysql", "TCP"],
  ["redis", "TCP"],
  ["postgres", "TCP"],
  ["postgresql", "TCP"],
  ["smtp", "TCP"],
  ["imap", "TCP"],
  ["pop3", "TCP"],
  ["ftp", "TCP"],
  ["ssh", "TCP"],
]);

/** SMTP, DNS, MySQL and MongoDB: what Istio does not look into either. */
const SERVER_FIRST_PORTS: ReadonlySet<number> = new Set([25, 53, 3_306, 27_017]);
