/** A sidecar's own chain as PEM, leaf first, without keys; 503 before it has one. On its admin port. */
export const CERTS_PATH = "/certs";

/** What a sidecar knows of itself, as JSON. On its admin port. */
export const SIDECAR_STATUS_PATH = "/status";

/** Exchanges as they happen, as lines of JSON, until the reader goes. On its admin port. */
export const SIDECAR_TAP_PATH = "/tap";

/** 200 when it would serve. On its readiness port, as at Istio's 15021. */
export const SIDECAR_READY_PATH = "/healthz/ready";

/** Prometheus' text format. On its metrics port. */
export const METRICS_PATH = "/metrics";
