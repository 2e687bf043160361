/** Where OTLP goes: a collector outside of the mesh. */
export interface OtlpEndpoint {
  /** `http:` or `https:`; over HTTP with the path that requests are posted to. */
  readonly url: string;
  /** As OTEL_EXPORTER_OTLP_PROTOCOL has it. */
  readonly protocol: "grpc" | "http/protobuf";
}

/** What a collector has made of a request. `forGood`: it will not go better another time. */
export type OtlpOutcome =
  | { readonly at: "taken" }
  | { readonly at: "failed"; readonly isForGood: boolean; readonly why: string };

/** Requests to a collector, as they are. Neither rejects. */
export interface OtlpSender {
  send(request: Buffer, timeoutMs: number): Promise<OtlpOutcome>;
  close(): Promise<void>;
}

/**
 * An address as OpenTelemetry's settings have it; over HTTP, where it names no path, `/v1/traces` of it.
 * Errors: plain, for a schema.
 */
export function parseOtlpUrl(text: string, protocol: OtlpEndpoint["protocol"]): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "")
    throw new Error(`expected an address like http://collector.observability:4317, found ${JSON.stringify(text)}`);
  if (protocol === "grpc" && url.pathname !== "/") throw new Error("an address for gRPC has no path");
  if (protocol === "http/protobuf" && url.pathname === "/") url.pathname = "/v1/traces";
  return url.href;
}
