import { type Limit, limit, valuesOf } from "./limits.ts";

/** The bounds of flow records on their way to the collector, and of its store: not every sidecar loads them. */
export const FLOW_LIMIT_TABLE = {
  flowSegmentRowsMax: limit(
    1_000_000,
    "count",
    "Flows in one file of the flow store, some 130 MB; the oldest files go whole.",
  ),
  flowSegmentEdgesMax: limit(
    65_536,
    "count",
    "Pairs of workloads, or ways to come out, in one such file; then another begins.",
  ),
  flowSegmentTextsMax: limit(65_536, "count", "Paths and hosts that such a file keeps once; others stand in each row."),
  flowSegmentTextBytesMax: limit(256, "bytes", "The longest of those: long ones are mostly said once."),
  flowSegmentsMax: limit(256, "count", "Files of the flow store."),
  flowStoreBytesMax: limit(2_147_483_648, "bytes", "The flow store; the oldest files go beyond it."),
  flowStoreRetentionMs: limit(604_800_000, "ms", "How long the flow store keeps a flow."),
  flowCommitFlowsMax: limit(5_000, "count", "Flows that the flow store makes durable at once, at the latest."),
  flowCommitMs: limit(100, "ms", "How long a flow waits for that."),
  flowClockAheadMs: limit(300_000, "ms", "A flow whose time is further ahead gets the collector's own time."),
  flowBatchesKnownMax: limit(
    65_536,
    "count",
    "Batches of sidecars, some 45 flows each, that the collector knows again when they are sent a second time.",
  ),
  flowStoreRestartMs: limit(1_000, "ms", "How long after its end the flow store's thread is started again, at first."),
  flowStoreRestartMsMax: limit(60_000, "ms", "The longest of these waits, which double."),
  flowCollectBytesMax: limit(67_108_864, "bytes", "Requests of sidecars that wait for the flow store."),
  flowExportBytesMax: limit(8_388_608, "bytes", "Flow records of a sidecar that wait in memory for the collector."),
  flowExportReservedBytes: limit(
    2_097_152,
    "bytes",
    "Of these, what is kept for denials; what goes beyond it goes to the disk while the collector is away.",
  ),
  flowExportRequestBytesMax: limit(2_097_152, "bytes", "Records in one request to the collector."),
  flowExportGatherMs: limit(200, "ms", "How long flow records gather before they are sent."),
  flowExportCallMs: limit(10_000, "ms", "One request to the collector; OpenTelemetry's default."),
  flowExportRetryMs: limit(
    1_000,
    "ms",
    "The first wait after a request that failed; each further one is twice as long.",
  ),
  flowExportRetryMsMax: limit(30_000, "ms", "The longest of them."),
  flowExportDrainMs: limit(
    2_000,
    "ms",
    "How long a sidecar that ends sends what waits; denials that remain go to the disk.",
  ),
  flowSpillBytesMax: limit(
    67_108_864,
    "bytes",
    "A sidecar's denials on the disk: some 50,000, which is five minutes of 170 in a second.",
  ),
  tapWatchersMax: limit(4, "count", "Readers who watch one sidecar's exchanges at once (cardea tap)."),
  tapWaitingBytesMax: limit(
    1_048_576,
    "bytes",
    "Exchanges that wait for one such reader; further ones are lost to it, and it is told how many.",
  ),
  hubbleStreamsMax: limit(
    32,
    "count",
    "GetFlows of Hubble's API that are under way at once; further ones are refused.",
  ),
  hubbleRequestBytesMax: limit(65_536, "bytes", "One request of Hubble's API."),
  hubbleFiltersMax: limit(64, "count", "Filters in one such request, and values in all of them sixteen times as many."),
  hubbleLastMax: limit(10_000, "count", "The newest flows that one such request may ask for by their number."),
  hubbleLookedAtMax: limit(
    100_000,
    "count",
    "Flows that one such request looks at in vain; its reader is told, and may ask for a span of time.",
  ),
  hubbleWaitingMax: limit(
    2_000,
    "count",
    "Flows that wait for one reader who follows; further ones are lost to it, and it is told how many.",
  ),
  flowDecisionsMax: limit(200_000, "count", "Flows that one question about policies and their use looks at."),
  mapAnswerFlowsMax: limit(200, "count", "Flows in one answer to the map's page."),
  mapConnectionsMax: limit(128, "count", "Connections to the map's port."),
  mapWatchersMax: limit(32, "count", "Pages that are told of denials as they come; each holds a connection."),
  mapTellDenialsMax: limit(50, "count", "Denials that such a page is told of at a time; it can ask for the others."),
  flowAnswerMax: limit(1_000, "count", "Flows in one answer of the flow store; a cursor gives the next."),
} as const satisfies Record<string, Limit>;

/** The same as plain numbers. */
export const FLOW_LIMITS = valuesOf(FLOW_LIMIT_TABLE);
