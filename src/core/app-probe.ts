/**
 * A probe of the app that its sidecar makes in the kubelet's place: the kubelet comes without a certificate, and the app's
 * ports take mutual TLS alone (ADR 0018).
 */
export interface AppProbe {
  /** Where the kubelet asks on the sidecar's metrics port, e.g. `/app-health/web/livez`. */
  readonly path: string;
  readonly timeoutMs: number;
  readonly check: AppCheck;
}

/** What is asked of the app, as the kubelet would ask it. */
export type AppCheck =
  | {
      readonly kind: "http";
      readonly scheme: "HTTP" | "HTTPS";
      readonly port: number;
      /** As it was written, with its query. */
      readonly target: string;
      readonly headers: readonly (readonly [string, string])[];
    }
  | { readonly kind: "tcp"; readonly port: number }
  | { readonly kind: "grpc"; readonly port: number; readonly service: string };

/** Whether the app is well, and why not. */
export type ProbeOutcome = { readonly ok: true } | { readonly ok: false; readonly why: string };
