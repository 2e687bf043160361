import { GET_FLOWS_REQUEST, type HubbleFilter, type HubbleFlow } from "../../api/hubble-messages.ts";
import { CardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import { ProtobufReader, WIRE_TYPES } from "../../wire/protobuf-reader.ts";
import { compileMask } from "./field-mask.ts";
import { compileFilters, type TakesFlow } from "./flow-filters.ts";

/** What GetFlows was asked for, checked. */
export interface FlowsRequest {
  /** Null: all that there is in the span of time. */
  readonly number: number | null;
  /** From the oldest on. */
  readonly isFirst: boolean;
  readonly isFollowing: boolean;
  readonly sinceMs: number | null;
  /** Still with it. */
  readonly untilMs: number | null;
  readonly takes: TakesFlow;
  readonly whitelist: readonly HubbleFilter[];
  readonly mask: (flow: HubbleFlow) => HubbleFlow;
}

/**
 * Reads a GetFlowsRequest. What it asks for and we cannot tell (or do not know at all) is refused by name: left aside, it
 * would show flows that nobody asked for. Errors: `bad-input`.
 */
export function parseFlowsRequest(bytes: Buffer): FlowsRequest {
  assertKnown(bytes);
  const { number, first, follow, since, until, whitelist, blacklist, fieldMask } = GET_FLOWS_REQUEST.deserialize(bytes);
  assertFewFilters([...whitelist, ...blacklist]);
  if (first && follow) throw new CardeaError("bad-input", "first cannot be specified with follow");
  // The largest number of 64 bits, by which Hubble says "all", is read as -1.
  const isAll = number < 0 || (number === 0 && (!follow || since !== null));
  if (!isAll && !first && since === null && number > FLOW_LIMITS.hubbleLastMax)
    throw new CardeaError(
      "bad-input",
      `number: ${FLOW_LIMITS.hubbleLastMax} of the newest at most; a span of time (since, until) or all (--all) has no bound`,
    );
  return {
    number: isAll ? null : number,
    isFirst: first,
    isFollowing: follow,
    sinceMs: millisecondsOf(since, "since"),
    untilMs: millisecondsOf(until, "until"),
    takes: compileFilters(whitelist, blacklist),
    whitelist,
    mask: compileMask(fieldMask?.paths ?? []),
  };
}

const REQUEST_FIELDS = new Set([1, 3, 5, 6, 7, 8, 9, 10]);
const FILTER_NUMBERS = [5, 6];
/** 18, 23, 32, 34, 35, 36, 39 and 999 are those that are refused. */
const FILTER_FIELDS = new Set([
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 24, 25, 26, 27, 28, 29, 30, 31, 33, 37, 38,
  40,
]);

/** What Cilium has by these numbers, and a mesh of sidecars does not see. */
const UNSEEN: Readonly<Record<number, string>> = {
  18: "dns_query: no sidecar sees DNS",
  23: "tcp_flags: no sidecar sees packets",
  32: "http_header: flows are kept without header fields",
  34: "source_ip_xlated: no sidecar translates addresses",
  35: "interface: no sidecar sees interfaces",
  36: "node_labels: flows are kept without nodes' labels",
  39: "ip_trace_id: no sidecar sees packets",
  999: "experimental: CEL expressions are not evaluated here",
};

function assertKnown(bytes: Buffer): void {
  for (const reader = new ProtobufReader(bytes); !reader.isAtEnd; ) {
    const { number, wireType } = reader.tag();
    if (!REQUEST_FIELDS.has(number)) throw unknown("request", number, `field ${number}`);
    if (FILTER_NUMBERS.includes(number) && wireType === WIRE_TYPES.bytes) assertKnownFilter(reader.nested());
    else reader.skip(wireType);
  }
}

function assertKnownFilter(reader: ProtobufReader): void {
  while (!reader.isAtEnd) {
    const { number, wireType } = reader.tag();
    if (!FILTER_FIELDS.has(number)) throw unknown("filter", number, UNSEEN[number] ?? `field ${number}`);
    reader.skip(wireType);
  }
}

function unknown(of: string, number: number, what: string): CardeaError {
  const why = number in UNSEEN && of === "filter" ? "" : ": it is not known here, and what it asks for would not hold";
  return new CardeaError("bad-input", `the ${of}'s ${what}${why}`);
}

function assertFewFilters(filters: readonly HubbleFilter[]): void {
  const values = filters.reduce(
    (sum, filter) => sum + Object.values(filter).reduce((count, list: readonly unknown[]) => count + list.length, 0),
    0,
  );
  const { hubbleFiltersMax } = FLOW_LIMITS;
  if (filters.length > hubbleFiltersMax || values > hubbleFiltersMax * VALUES_PER_FILTER)
    throw new CardeaError("bad-input", `at most ${hubbleFiltersMax} filters, with ${VALUES_PER_FILTER} values each`);
}

const VALUES_PER_FILTER = 16;

type Timestamp = { readonly seconds: number; readonly nanos: number } | null;

/** Timestamps of google.protobuf: the years 1 to 9999. */
const SECONDS_MIN = -62_135_596_800;
const SECONDS_MAX = 253_402_300_799;

function millisecondsOf(timestamp: Timestamp, name: string): number | null {
  if (timestamp === null) return null;
  const { seconds, nanos } = timestamp;
  if (seconds < SECONDS_MIN || seconds > SECONDS_MAX || nanos < 0 || nanos > 999_999_999)
    throw new CardeaError("bad-input", `${name} is no time`);
  return seconds * 1_000 + nanos / 1_000_000;
}
