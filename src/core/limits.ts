export interface Limit {
  readonly value: number;
  readonly unit: "bytes" | "count" | "ms" | "perSecond";
  readonly why: string;
}

/**
 * Every bound of the program but those of flow records' export and store (flow-limits.ts), with its reason. docs/reference/limits.md is
 * generated from both tables.
 */
export const LIMIT_TABLE = {
  headBytesMax: limit(
    65_536,
    "bytes",
    "Request or response head; Envoy's default is 60 KiB. RFC 9110 section 5.4 lets a server refuse more.",
  ),
  targetBytesMax: limit(16_384, "bytes", "Request target; RFC 9112 section 3 asks for 8,000 at least."),
  headerCountMax: limit(100, "count", "Header fields in a head; Envoy's default."),
  trailerBytesMax: limit(16_384, "bytes", "Trailer section of a chunked body."),
  chunkLineBytesMax: limit(
    1_024,
    "bytes",
    "Chunk-size line with its extensions; unbounded extensions are a known attack (CVE-2024-22019).",
  ),
  chunkOverheadBytesMax: limit(
    16_384,
    "bytes",
    "Size lines of a chunked body beyond 16 octets and twice the data of each chunk: tiny chunks under long extensions keep a reader busy for nothing (CVE-2023-39326).",
  ),
  connectionsMax: limit(10_000, "count", "Downstream connections of one sidecar."),
  pendingRequestsMax: limit(1_024, "count", "Requests of one upstream key that wait for a connection."),
  admissionWaitMs: limit(
    30_000,
    "ms",
    "How long a request waits to be decided where somebody has to be asked first, with all that is asked for it.",
  ),
  admissionWaitsMax: limit(1_024, "count", "Requests of one sidecar that wait to be decided; more are refused."),
  extAuthzBodyBytesMax: limit(
    1_048_576,
    "bytes",
    "Of one request's body, shown to an external authorization server (maxRequestBytes).",
  ),
  extAuthzBodiesBytesMax: limit(16_777_216, "bytes", "The same of all requests of a sidecar that wait."),
  extAuthzAnswerBytesMax: limit(
    65_536,
    "bytes",
    "An external authorization server's answer, with the body that a denied caller gets.",
  ),
  upstreamConnectionsMax: limit(1_024, "count", "Connections to one upstream key; Envoy's default circuit breaker."),
  retryBodyBytesMax: limit(
    65_536,
    "bytes",
    "Of one request's body, kept until its answer begins so that it can be sent again.",
  ),
  retryBodiesBytesMax: limit(
    16_777_216,
    "bytes",
    "The same of all requests of a sidecar; above it bodies are not kept.",
  ),
  hashRingPointsMax: limit(262_144, "count", "Points of one consistent-hash ring, 8 bytes each."),
  maglevSlotsMax: limit(1_048_583, "count", "Slots of one Maglev table, 4 bytes each; raised to the next prime."),
  upstreamIdleMs: limit(60_000, "ms", "An idle pooled connection is closed after this."),
  headTimeoutMs: limit(15_000, "ms", "From the first byte of a head to its end: slow senders (slowloris) are cut off."),
  keepAliveIdleMs: limit(75_000, "ms", "A downstream connection without a request in progress; nginx's default."),
  handshakeTimeoutMs: limit(10_000, "ms", "TLS handshake, both sides."),
  connectTimeoutMs: limit(
    5_000,
    "ms",
    "TCP connect to an upstream; Istio's default is 10 s, half of it leaves room for one retry.",
  ),
  writeBacklogBytesMax: limit(262_144, "bytes", "Unsent bytes of one connection before its source is paused."),
  listenBacklog: limit(1_024, "count", "Connections that the kernel holds for a listener until they are accepted."),
  tcpKeepAliveMs: limit(60_000, "ms", "Silence before TCP itself asks whether the peer is still there."),
  firstBytesTimeoutMs: limit(
    5_000,
    "ms",
    "From accept to the first three bytes on an inbound port, where the client begins; what cannot be TLS is refused sooner.",
  ),
  trustedProxiesMax: limit(
    16,
    "count",
    "What `numTrustedProxies` may say: so many that each write X-Forwarded-For before a request reaches the mesh.",
  ),
  protocolDetectionMs: limit(
    1_000,
    "ms",
    "How long a port of no declared protocol waits for the client to begin, unless the mesh file says otherwise; then its bytes are opaque. A server that speaks first is that late: declare it.",
  ),
  clientHelloBytesMax: limit(
    16_384,
    "bytes",
    "A ClientHello of the app's own TLS; with post-quantum keys and ECH they have some 3,000.",
  ),
  streamIdleMs: limit(300_000, "ms", "A request or tunnel in which nothing moves; Envoy's stream_idle_timeout."),
  tunnelIdleMs: limit(
    3_600_000,
    "ms",
    "An opaque or upgraded connection in which nothing moves; Envoy's tcp_proxy default.",
  ),
  lingerMs: limit(
    2_000,
    "ms",
    "How long a refused sender is read out before its connection is dropped: a reset at once would destroy the answer.",
  ),
  lingerBytesMax: limit(
    16_777_216,
    "bytes",
    "What is read out of a refused sender in that time: more than it can have had under way when our answer came.",
  ),
  discardBodyBytesMax: limit(
    65_536,
    "bytes",
    "A body that nobody wants is read to its end up to this size; above it the connection is closed instead.",
  ),
  informationalMax: limit(
    16,
    "count",
    "1xx answers to one request; RFC 9110 section 15.2 sets no bound, a flood is one.",
  ),
  http2StreamsMax: limit(
    256,
    "count",
    "Streams that a peer may have open on one connection; RFC 9113 section 6.5.2 asks for 100 at least.",
  ),
  http2StreamWindowBytes: limit(
    262_144,
    "bytes",
    "What a peer may send on one stream ahead of its reader, so the most that one slow reader makes us hold.",
  ),
  http2TunnelWindowBytes: limit(
    1_048_576,
    "bytes",
    "The same on a stream of HBONE, which carries what a connection would: 100 MB/s at 10 ms there and back.",
  ),
  http2ConnectionWindowBytes: limit(
    1_048_576,
    "bytes",
    "What a peer may send on one connection before it hears from us; returned on receipt.",
  ),
  http2HeldBytesMax: limit(
    8_388_608,
    "bytes",
    "Held for the slow readers of one connection; above it the connection's window is no longer returned.",
  ),
  http2ProcessBytesMax: limit(
    134_217_728,
    "bytes",
    "Held and queued for slow peers by all streams of the process; above it connections that hold something get no more window and sources wait, at twice as much a stream that would hold more is reset.",
  ),
  http2StreamQueueBytesMax: limit(65_536, "bytes", "Unsent bytes of one stream before its source is paused."),
  http2UnsentBytesMax: limit(
    2_097_152,
    "bytes",
    "Unsent bytes of a connection whose peer makes us answer and does not read; above it the connection is cut.",
  ),
  http2ContinuationsMax: limit(
    8,
    "count",
    "CONTINUATION frames of one header block: four of the usual size fill headBytesMax (CVE-2024-27316).",
  ),
  http2ResetsPerSecondMax: limit(
    100,
    "perSecond",
    "Streams that end in a reset of the peer's making, four seconds' worth at once (CVE-2023-44487, CVE-2025-8671).",
  ),
  http2ControlsPerSecondMax: limit(
    500,
    "perSecond",
    "PING, SETTINGS, PRIORITY, unknown and empty frames, four seconds' worth at once; window updates beyond those that our data explains (CVE-2019-9511 and kin).",
  ),
  http2SettingsTimeoutMs: limit(
    10_000,
    "ms",
    "From our SETTINGS to their acknowledgement, and for the peer's own. RFC 9113 section 6.5.3.",
  ),
  http2PingTimeoutMs: limit(20_000, "ms", "From a PING of ours to its answer, before the connection counts as dead."),
  http2WindowStallMs: limit(
    60_000,
    "ms",
    "A stream with data that its peer gives no window for; a stalled reader must not hold memory for ever.",
  ),
  http2LongBodyBytesMin: limit(
    262_144,
    "bytes",
    "A request that has moved so much, and goes on, makes others prefer another connection: on one, what TCP loses of the long body holds up all.",
  ),
  http2ConnectionsMax: limit(
    4,
    "count",
    "Connections to one upstream key that long bodies and slow reading may ask for; more only when the streams of all are used up.",
  ),
  connectionRetireMsMax: limit(
    30_000,
    "ms",
    "How long before its certificates end a connection takes no more requests: the upper bound of a tenth of its life.",
  ),
  drainTimeoutMs: limit(5_000, "ms", "Streams may finish for this long after SIGTERM; Istio's default."),
  flowFileBytesMax: limit(
    64 * 1024 * 1024,
    "bytes",
    "A flow log file is rotated at this size; one predecessor is kept.",
  ),
  flowBacklogLinesMax: limit(65_536, "count", "Flow lines that wait for the disk; more are dropped and counted."),
  flowBacklogBytesMax: limit(32 * 1024 * 1024, "bytes", "The same lines in bytes: hostile requests make long ones."),
  documentBytesMax: limit(1_048_576, "bytes", "One YAML or JSON file; etcd refuses larger objects, too."),
  documentDepthMax: limit(64, "count", "Nesting of a document."),
  yamlAliasesMax: limit(100, "count", "Alias expansions in one file: a YAML bomb is refused."),
  revisionsKept: limit(64, "count", "Policy revisions whose texts are kept, for explanations of past denials."),
  revisionBytesMax: limit(67_108_864, "bytes", "A saved policy revision with all its files."),
  policyFaultsKept: limit(100, "count", "Faults of a refused policy set that the status names."),
  registryFilesMax: limit(10_000, "count", "Files of the local registry."),
  discoveryNamesMax: limit(10_000, "count", "Resource names that one discovery stream may ask for."),
  discoveryResponseBytesMax: limit(
    65_536,
    "bytes",
    "Resources in one discovery response (a single one may be larger): reading it holds up a sidecar for some 5 ms at most. The rest follows.",
  ),
  discoveryMessageBytesMax: limit(
    8_388_608,
    "bytes",
    "One message of a discovery stream: a full response, or the hashes of policiesMax policies.",
  ),
  messageElementsMax: limit(
    100_000,
    "count",
    "Elements of one list or map in a message of the control plane: two bytes on the wire can be an object of a hundred here.",
  ),
  discoveryAnswerTimeoutMs: limit(
    30_000,
    "ms",
    "From a discovery response to its ACK or NACK; then the stream ends and the sidecar begins anew.",
  ),
  discoveryLaterMs: limit(
    2_000,
    "ms",
    "How late a sidecar may hear of workloads behind services that it does not use: what came meanwhile makes one response.",
  ),
  discoveryInterestMax: limit(
    1_000,
    "count",
    "Services that one sidecar names as used, so as to hear of their workloads at once; the longest known are left out.",
  ),
  discoveryStreamsMax: limit(10_000, "count", "Discovery streams of one control plane."),
  discoveryStreamsPerIdentityMax: limit(1_000, "count", "Discovery streams of one SPIFFE ID: replicas share theirs."),
  policyAgeMs: limit(
    86_400_000,
    "ms",
    "For so long a sidecar goes by policies that no control plane has confirmed; then it lets nothing through.",
  ),
  discoveryRetryMsMax: limit(10_000, "ms", "Longest wait of a sidecar between two tries to reach the control plane."),
  policiesMax: limit(20_000, "count", "Policies in one set."),
  jwksBytesMax: limit(131_072, "bytes", "One JWK Set; those of large providers have 10 KB."),
  jwksSourcesMax: limit(256, "count", "Key sets that one control plane fetches."),
  jwksFetchMs: limit(30_000, "ms", "One fetch of keys, whatever a rule's own timeout says."),
  jwksRefreshMs: limit(300_000, "ms", "Keys are fetched again after this, where their server does not say."),
  jwksRefreshMsMin: limit(60_000, "ms", "However short-lived keys are said to be."),
  jwksRefreshMsMax: limit(3_600_000, "ms", "However long-lived: so long a key that was taken back may serve."),
  jwksRetryMsMax: limit(300_000, "ms", "Longest wait between two tries to fetch keys."),
  jwksKeptMs: limit(21_600_000, "ms", "Keys that cannot be fetched serve so long; then their tokens are refused."),
  jwksKeysMax: limit(64, "count", "Keys of one JWK Set."),
  regexLengthMax: limit(1_024, "count", "Characters of one regular expression in a traffic rule."),
  regexStepsMax: limit(
    1_024,
    "count",
    "Steps of a regular expression with its counted repetitions written out: the most that one character of a text can cost.",
  ),
  regexStatesMax: limit(256, "count", "Known states of one regular expression; more are worked out again."),
  hashTableEntriesMax: limit(65_537, "count", "Entries of one consistent-hash table; Maglev's default."),
  retryAttemptsMax: limit(25, "count", "Retries that a route may ask for."),
  directResponseBytesMax: limit(32_768, "bytes", "The body that a route may answer with."),
  peerBindingsMax: limit(1_024, "count", "Peers for which a sidecar keeps the rules that may match them."),
  policyAnalysisClaimsMax: limit(1_024, "count", "Kinds of one claim that an analysis looks at; more is not known."),
  policyAnalysisStepsMax: limit(
    10_000_000,
    "count",
    "Steps that `policy prove`, `diff` and `blast-radius` take for one destination, a few seconds, before they answer `unknown`.",
  ),
  breakGlassMs: limit(
    86_400_000,
    "ms",
    "Longest time that a break-glass grant may hold: an emergency that lasts longer is looked at again.",
  ),
  policyCheckStepsMax: limit(
    1_000_000,
    "count",
    "Steps that `policy check` takes for one question about one rule; beyond, nothing is found of it, and that is said.",
  ),
  policyReviewStepsMax: limit(
    2_000_000,
    "count",
    "Steps for all rules of a policy that the webhook is asked about: a fraction of a second.",
  ),
  certificateBytesMax: limit(16_384, "bytes", "One certificate or signing request, DER; ours have 600 bytes."),
  chainCertificatesMax: limit(8, "count", "Certificates that a peer may send, and the longest chain built of them."),
  chainSignaturesMax: limit(16, "count", "Signatures tried for one chain: cross-signed loops must not cost more."),
  bundleRootsMax: limit(64, "count", "Roots of one trust domain."),
  svidTtlMs: limit(
    3_600_000,
    "ms",
    "Longest validity of a workload's certificate; half of it is the authority's leave.",
  ),
  certificateCallMs: limit(10_000, "ms", "One request to the authority, the handshake included."),
  joinTokenTtlMs: limit(300_000, "ms", "A one-time join token that nobody used."),
  workloadApiConnectionsMax: limit(256, "count", "Connections to one identity socket."),
  workloadApiCallsMax: limit(
    100,
    "count",
    "Calls that one process has under way at the identity socket; where the kernel does not say who calls, that one connection has.",
  ),
  workloadApiMessageBytesMax: limit(65_536, "bytes", "One request at the identity socket: a token to be looked at."),
  workloadApiWaitMs: limit(
    10_000,
    "ms",
    "How long a caller of the identity socket waits for a first certificate before it is told to come again.",
  ),
  workloadApiSecretsMax: limit(64, "count", "Secrets that one call of Envoy's may name; a workload has a handful."),
  tokenBytesMax: limit(16_384, "bytes", "One JSON Web Token; ours have 500 bytes."),
  tokenNameLengthMax: limit(2_048, "count", "Characters of a token's issuer, subject or key id."),
  tokenKeysTriedMax: limit(8, "count", "Keys that one token is tried against."),
  claimHeaderLengthMax: limit(4_096, "count", "Characters of a claim that is written to a header."),
  verifiedTokensMax: limit(4_096, "count", "Tokens that a sidecar remembers to be good."),
  tokenSkewMs: limit(30_000, "ms", "How far the clocks of who issues and who verifies a token may be apart."),
  jwtSvidTtlMs: limit(
    300_000,
    "ms",
    "Validity of a JWT-SVID: whoever sees one can use it (JWT-SVID section 6.1); SPIRE's.",
  ),
  jwtAudiencesMax: limit(16, "count", "Audiences of one token; JWT-SVID section 6.2 wants one."),
  jwtAudienceBytesMax: limit(2_048, "bytes", "One audience of a token; a SPIFFE ID may be one."),
  jwtTokensKeptMax: limit(128, "count", "Tokens that a sidecar keeps for its app, one for each choice of audiences."),
  bundleRefreshMs: limit(
    300_000,
    "ms",
    "How old a sidecar's keys for tokens may become before it asks for them again.",
  ),
  webhookBodyBytesMax: limit(
    10_485_760,
    "bytes",
    "One AdmissionReview: an object as it was and as it is to be; the API server takes 3 MiB of each.",
  ),
  webhookHeldBytesMax: limit(
    67_108_864,
    "bytes",
    "Bodies of reviews that are read or answered at a time; who comes on top waits with its body unread.",
  ),
  webhookWaitMs: limit(4_000, "ms", "How long a review waits for that; less than the API server waits for an answer."),
  webhookWarningsMax: limit(
    16,
    "count",
    "Warnings of one answer, of 256 characters each: the API server cuts them at 4,096 together.",
  ),
  kubeCallMs: limit(30_000, "ms", "One request to the Kubernetes API; its own limit is 60 s."),
  kubeConnectMs: limit(5_000, "ms", "TCP and TLS to the Kubernetes API."),
  kubeConnectionsMax: limit(16, "count", "Connections to the Kubernetes API, those of watches aside."),
  kubeAnswerBytesMax: limit(
    134_217_728,
    "bytes",
    "One answer of the Kubernetes API: a page of 500 objects, which etcd lets have 1.5 MiB each.",
  ),
  kubeEventBytesMax: limit(8_388_608, "bytes", "One event of a watch: an object with all its metadata."),
  kubeObjectsMax: limit(200_000, "count", "Objects of one kind that are kept; Kubernetes is made for 150,000 pods."),
  kubeWatchMs: limit(300_000, "ms", "A watch ends after this, up to twice as late by chance, and goes on anew."),
  kubeWatchSilenceMs: limit(
    150_000,
    "ms",
    "A watch that brings nothing, not even the bookmark of each minute, counts as dead.",
  ),
  kubeAbsentMs: limit(
    300_000,
    "ms",
    "For so long the Kubernetes API must say that it has no such kind before objects of it that we hold are dropped.",
  ),
  kubeRetryMsMax: limit(30_000, "ms", "Longest wait between two tries to list or watch a kind."),
  metricSeriesMax: limit(2_000, "count", "Label sets of one metric; the rest is counted as otel_metric_overflow."),
  metricSeriesIdleMs: limit(
    3_600_000,
    "ms",
    "A label set that has not moved for so long, and was told to a scraper since, is forgotten; it begins again at zero.",
  ),
  adminConnectionsMax: limit(64, "count", "Connections to one admin, metrics or readiness port."),
  flowSampledFromMax: limit(10_000, "count", "Simply allowed exchanges that one record in the store stands for."),
  logFieldBytesMax: limit(2_048, "bytes", "One text field of a flow record; longer ones are cut and marked."),
} as const satisfies Record<string, Limit>;

/** The limits as plain numbers; the unit stands last in each name. */
export const LIMITS = valuesOf(LIMIT_TABLE);

export function limit(value: number, unit: Limit["unit"], why: string): Limit {
  return { value, unit, why };
}

/** What a table of limits says, frozen. */
export function valuesOf<Table extends Readonly<Record<string, Limit>>>(
  table: Table,
): { readonly [Name in keyof Table]: number } {
  const values = Object.entries(table).map(([name, { value }]) => [name, value]);
  return Object.freeze(Object.fromEntries(values)) as { readonly [Name in keyof Table]: number };
}
