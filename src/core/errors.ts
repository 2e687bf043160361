/** What went wrong on whose side: the peer that called us, the peer that we called, or ourselves. */
export type ErrorSide = "downstream" | "upstream" | "internal";

/** What happens to the downstream connection once the error has been answered. */
export type CloseAction = "keep" | "close" | "reset";

interface ErrorEntry {
  /** HTTP status sent downstream, when there is an HTTP exchange to answer. RFC 9110 section 15. */
  readonly httpStatus: number;
  /** gRPC status for the same answer (grpc/grpc doc/statuscodes.md). */
  readonly grpcStatus: number;
  readonly close: CloseAction;
  readonly side: ErrorSide;
  readonly logLevel: "debug" | "info" | "warn" | "error";
  /** Istio's and Envoy's `response_flags` label; ours where they have none. */
  readonly flag: string;
  /** One sentence for the generated reference. */
  readonly meaning: string;
}

/**
 * Every failure that the data path, the authority and the control plane can name. The code decides the
 * behaviour; the message is for people. docs/reference/errors.md is generated from this table.
 */
export const ERROR_TABLE = {
  "denied-by-policy": entry(403, 7, "keep", "downstream", "info", "UAEX", "A loaded policy denies the request."),
  "admission-timeout": entry(
    503,
    14,
    "keep",
    "internal",
    "warn",
    "UAEX",
    "Whoever has to be asked before the request is decided did not answer in time.",
  ),
  "policy-not-loaded": entry(
    503,
    14,
    "close",
    "internal",
    "warn",
    "NC",
    "No policy has arrived yet, so nothing is let through.",
  ),
  "identity-not-ready": entry(
    503,
    14,
    "close",
    "internal",
    "warn",
    "NC",
    "This sidecar holds no valid certificate yet.",
  ),
  "plaintext-refused": entry(403, 16, "reset", "downstream", "info", "DPE", "The inbound side takes mutual TLS only."),
  "tls-handshake-failed": entry(403, 16, "reset", "downstream", "info", "DPE", "The TLS handshake did not complete."),
  "peer-certificate-missing": entry(
    403,
    16,
    "reset",
    "downstream",
    "info",
    "UAEX",
    "The peer sent no client certificate.",
  ),
  "peer-certificate-untrusted": entry(
    403,
    16,
    "reset",
    "downstream",
    "info",
    "UAEX",
    "The peer's chain does not lead to a root of its trust domain.",
  ),
  "peer-certificate-expired": entry(
    403,
    16,
    "reset",
    "downstream",
    "info",
    "UAEX",
    "A certificate of the peer's chain is not valid at this time.",
  ),
  "peer-identity-invalid": entry(
    403,
    16,
    "reset",
    "downstream",
    "info",
    "UAEX",
    "The peer's certificate is not an X.509-SVID.",
  ),
  "peer-identity-mismatch": entry(
    502,
    14,
    "close",
    "upstream",
    "warn",
    "UF",
    "The upstream proved another identity than the chosen workload's.",
  ),
  "bad-request": entry(
    400,
    3,
    "close",
    "downstream",
    "info",
    "DPE",
    "The request is malformed or can be read in two ways.",
  ),
  "protocol-mismatch": entry(
    400,
    3,
    "reset",
    "downstream",
    "info",
    "DPE",
    "The connection carries something other than its port is declared to speak, or turned out to speak.",
  ),
  "head-too-large": entry(431, 8, "close", "downstream", "info", "DPE", "The request's head is over a limit."),
  "version-not-supported": entry(505, 12, "close", "downstream", "info", "DPE", "The HTTP version is not served."),
  "method-not-allowed": entry(405, 12, "close", "downstream", "info", "DPE", "The method is not served here."),
  "expectation-failed": entry(
    417,
    3,
    "close",
    "downstream",
    "info",
    "DPE",
    "The Expect header asks for something other than 100-continue.",
  ),
  "request-timeout": entry(408, 4, "close", "downstream", "info", "DPE", "The request's head did not arrive in time."),
  "idle-timeout": entry(408, 4, "close", "downstream", "debug", "SI", "Nothing moved for longer than the limit."),
  "upgrade-not-allowed": entry(
    403,
    7,
    "close",
    "downstream",
    "info",
    "DPE",
    "The upgrade's protocol is not on the allowlist.",
  ),
  "loop-refused": entry(
    508,
    13,
    "close",
    "downstream",
    "warn",
    "NR",
    "The request is aimed at one of the mesh's own ports.",
  ),
  "no-route": entry(
    502,
    14,
    "keep",
    "downstream",
    "info",
    "NR",
    "The registry has no such service (egress is REGISTRY_ONLY).",
  ),
  "no-healthy-upstream": entry(503, 14, "keep", "upstream", "warn", "UH", "The service has no workload to send to."),
  "upstream-connect-failed": entry(
    503,
    14,
    "keep",
    "upstream",
    "warn",
    "UF",
    "The connection to the upstream could not be made.",
  ),
  "upstream-connect-timeout": entry(
    504,
    14,
    "keep",
    "upstream",
    "warn",
    "UF",
    "The connection to the upstream was not made in time.",
  ),
  "upstream-reset": entry(
    502,
    14,
    "close",
    "upstream",
    "warn",
    "UC",
    "The upstream ended the connection before its answer was whole.",
  ),
  "upstream-cancelled": entry(
    502,
    1,
    "keep",
    "upstream",
    "info",
    "UR",
    "The upstream called the request off (HTTP/2's CANCEL) before its answer was whole.",
  ),
  "upstream-protocol-error": entry(
    502,
    13,
    "close",
    "upstream",
    "warn",
    "UPE",
    "The upstream's answer is malformed or can be read in two ways.",
  ),
  "upstream-overflow": entry(
    503,
    14,
    "keep",
    "upstream",
    "info",
    "UO",
    "A traffic rule's bound on requests or connections to the destination is reached (circuit breaking).",
  ),
  "tunnel-refused": entry(
    502,
    14,
    "reset",
    "upstream",
    "info",
    "URX",
    "The other sidecar did not open the tunnel for a TCP connection: 401 is a denial, and its record has the reason.",
  ),
  "upstream-timeout": entry(504, 4, "close", "upstream", "warn", "UT", "The upstream did not answer in time."),
  "downstream-reset": entry(
    499,
    1,
    "reset",
    "downstream",
    "debug",
    "DC",
    "The caller went away before the answer was whole.",
  ),
  "http2-protocol-error": entry(
    499,
    13,
    "reset",
    "downstream",
    "info",
    "DPE",
    "The caller broke a rule of HTTP/2; its connection is told and ended.",
  ),
  "http2-flood": entry(
    499,
    8,
    "reset",
    "downstream",
    "warn",
    "UO",
    "The peer sends more resets or empty frames than the limit; its connection is told and ended.",
  ),
  "permission-lost": entry(
    403,
    7,
    "reset",
    "internal",
    "info",
    "UAEX",
    "A new policy revision denies a stream that was open.",
  ),
  "certificate-ended": entry(
    503,
    14,
    "close",
    "internal",
    "info",
    "DT",
    "The certificates that made the connection have come to their end.",
  ),
  overloaded: entry(503, 8, "close", "internal", "warn", "UO", "A limit on connections or streams is reached."),
  draining: entry(503, 14, "close", "internal", "info", "DT", "The sidecar is shutting down."),
  internal: entry(500, 13, "close", "internal", "error", "-", "A fault of ours; please report it."),
  "bad-input": entry(400, 3, "close", "internal", "error", "-", "A file, flag or document is not valid."),
  unreachable: entry(503, 14, "close", "internal", "error", "-", "Something that was needed could not be reached."),
  "disk-full": entry(503, 14, "close", "internal", "error", "-", "The disk takes no more, or cannot be written to."),
  damaged: entry(500, 13, "close", "internal", "error", "-", "A file of ours is not as we left it."),
  "kube-forbidden": entry(
    503,
    14,
    "close",
    "internal",
    "error",
    "-",
    "The Kubernetes API does not know who we are, or does not permit it.",
  ),
  "kube-absent": entry(503, 14, "close", "internal", "warn", "-", "The Kubernetes API has no such kind or object."),
  "kube-conflict": entry(
    503,
    14,
    "close",
    "internal",
    "info",
    "-",
    "Somebody else has created or changed the object in the Kubernetes API first.",
  ),
  "kube-gone": entry(
    503,
    14,
    "close",
    "internal",
    "info",
    "-",
    "The Kubernetes API no longer has the history that a watch wanted; all is listed anew.",
  ),
  "kube-refused": entry(503, 14, "close", "internal", "error", "-", "The Kubernetes API refuses the request as it is."),
  "attestation-failed": entry(401, 16, "close", "downstream", "warn", "UAEX", "The caller could not prove who it is."),
  "token-missing": entry(
    401,
    16,
    "keep",
    "downstream",
    "info",
    "UAEX",
    "A RequestAuthentication requires a token that the request does not bring.",
  ),
  "token-audience": entry(
    403,
    16,
    "keep",
    "downstream",
    "info",
    "UAEX",
    "The token is good, and for others: none of the audiences that are taken here is among its own.",
  ),
  "token-invalid": entry(
    401,
    16,
    "keep",
    "downstream",
    "info",
    "UAEX",
    "The token is malformed, has ended, is not for this audience, or no known key has signed it.",
  ),
  "csr-invalid": entry(400, 3, "close", "downstream", "warn", "-", "The certificate signing request is not valid."),
  "der-invalid": entry(400, 3, "close", "downstream", "info", "-", "The DER encoding is not valid (ITU-T X.690)."),
  "spiffe-id-invalid": entry(400, 3, "close", "downstream", "info", "-", "Not a SPIFFE ID (SPIFFE-ID section 2)."),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERROR_TABLE;

/** The one error class: callers switch on `code`, people read `message`, and `cause` is kept. */
export class CardeaError extends Error {
  override readonly name = "CardeaError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Any thrown value as a CardeaError; what is not one becomes `internal` and keeps its cause. */
export function toCardeaError(thrown: unknown): CardeaError {
  if (thrown instanceof CardeaError) return thrown;
  return new CardeaError("internal", thrown instanceof Error ? thrown.message : String(thrown), thrown);
}

function entry(
  httpStatus: number,
  grpcStatus: number,
  close: CloseAction,
  side: ErrorSide,
  logLevel: ErrorEntry["logLevel"],
  flag: string,
  meaning: string,
): ErrorEntry {
  return { httpStatus, grpcStatus, close, side, logLevel, flag, meaning };
}
