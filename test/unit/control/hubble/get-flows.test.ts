import { describe, expect, test } from "vitest";
import { FLOW_FILTER, GET_FLOWS_REQUEST, type HubbleResponse } from "../../../../src/api/hubble-messages.ts";
import type { FlowQueries, ReadableNamespaces } from "../../../../src/control/flows/query.ts";
import { flowMatcher } from "../../../../src/control/flows/flow-match.ts";
import { parseFlowsRequest } from "../../../../src/control/hubble/flows-request.ts";
import { getFlows } from "../../../../src/control/hubble/get-flows.ts";
import { CardeaError } from "../../../../src/core/errors.ts";
import { FLOW_LIMITS } from "../../../../src/core/flow-limits.ts";
import type { FlowRecord } from "../../../../src/observe/flow.ts";
import { ProtobufWriter } from "../../../../src/wire/protobuf-writer.ts";
import { sampleFlow } from "../../../support/sample-flow.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";

type Request = Parameters<typeof GET_FLOWS_REQUEST.serialize>[0];

const START_MS = Date.UTC(2026, 10, 22, 9, 30);
const PLACE = { cluster: "local", node: "local/cardea-control", version: "0.1.0" };

function flowsFrom(first: number, count: number, changes: Partial<FlowRecord> = {}): readonly FlowRecord[] {
  return Array.from({ length: count }, (_, i) =>
    sampleFlow({ timeMs: START_MS + (first + i) * 1_000, id: (first + i).toString(16).padStart(16, "0"), ...changes }),
  );
}

/** A store in memory, which answers as the real one does. */
class MemoryStore implements Pick<FlowQueries, "flows" | "follow" | "span"> {
  readonly kept: FlowRecord[] = [];
  readonly followers = new Set<(flows: readonly FlowRecord[]) => void>();
  isGone = false;

  put(flows: readonly FlowRecord[]): void {
    this.kept.push(...flows);
    for (const tell of this.followers) tell(flows);
  }

  flows: FlowQueries["flows"] = async ({ filter, namespaces, limit, cursor, order }) => {
    await Promise.resolve();
    const all = this.kept.filter(flowMatcher(filter, namespaces));
    const sorted = order === "oldest-first" ? all : all.toReversed();
    const from = Number(cursor ?? 0);
    const flows = sorted.slice(from, from + limit);
    return { flows, cursor: from + limit < sorted.length ? String(from + limit) : null };
  };

  follow: FlowQueries["follow"] = (filter, namespaces, onFlows) => {
    const tell = (flows: readonly FlowRecord[]): void => {
      const taken = flows.filter(flowMatcher(filter, namespaces));
      if (taken.length > 0) onFlows(taken);
    };
    this.followers.add(tell);
    return () => void this.followers.delete(tell);
  };

  span: FlowQueries["span"] = () =>
    this.isGone ? Promise.reject(new CardeaError("internal", "the flow store has ended")) : Promise.resolve(null);
}

class Reader {
  readonly got: HubbleResponse[] = [];
  readonly #gone = new AbortController();
  readonly gone = this.#gone.signal;
  /** Set: it takes nothing more until it is resolved. */
  stalled: Promise<void> | null = null;

  async send(response: HubbleResponse): Promise<void> {
    this.got.push(response);
    await this.stalled;
  }

  leave(): void {
    this.#gone.abort();
  }

  ids(): readonly number[] {
    return this.got.flatMap(({ flow }) => (flow == null ? [] : [Number.parseInt(flow.uuid!, 16)]));
  }
}

function ask(store: MemoryStore, request: Request, namespaces: ReadableNamespaces = "all") {
  const reader = new Reader();
  const clock = createSimulatedClock(START_MS);
  const parsed = parseFlowsRequest(GET_FLOWS_REQUEST.serialize(request));
  const ended = getFlows(parsed, reader, { queries: store, place: PLACE, namespaces, clock });
  return { reader, clock, ended };
}

async function read(store: MemoryStore, request: Request, namespaces: ReadableNamespaces = "all") {
  const { reader, ended } = ask(store, request, namespaces);
  await ended;
  return reader;
}

function storeWith(...flows: readonly FlowRecord[]): MemoryStore {
  const store = new MemoryStore();
  store.put(flows);
  return store;
}

const seconds = (at: number) => ({ seconds: (START_MS + at * 1_000) / 1_000, nanos: 0 });
const DENIED = [{ verdict: ["DROPPED"] as const }];

describe("what was", () => {
  const store = storeWith(...flowsFrom(0, 5), ...flowsFrom(5, 5, { verdict: "allowed", reason: "allow-rule-matched" }));

  test.each<[string, Request, readonly number[]]>([
    ["the last ones, the oldest of them first", { number: 3 }, [7, 8, 9]],
    ["the last ones of those that were asked for", { number: 3, whitelist: DENIED }, [2, 3, 4]],
    ["the first ones", { number: 3, first: true }, [0, 1, 2]],
    ["the first ones that are not left out", { number: 2, first: true, blacklist: DENIED }, [5, 6]],
    ["everything without a number", {}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ["everything by the largest number", { number: -1 }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ["since a moment", { since: seconds(7) }, [7, 8, 9]],
    ["since a moment, so many", { since: seconds(3), number: 2 }, [3, 4]],
    ["until a moment, and still with it", { until: seconds(2) }, [0, 1, 2]],
    ["a span", { since: seconds(4), until: seconds(6) }, [4, 5, 6]],
    ["the last ones until a moment", { number: 2, until: seconds(6) }, [5, 6]],
    ["nothing of a span that lies before", { until: seconds(-1) }, []],
  ])("%s", async (_name, request, ids) => {
    expect((await read(store, request)).ids()).toEqual(ids);
  });

  test("of many pages is told once each, in order", async () => {
    const many = storeWith(...flowsFrom(0, 2_345));
    expect((await read(many, { since: seconds(0) })).ids()).toEqual(Array.from({ length: 2_345 }, (_, i) => i));
    expect((await read(many, { number: 1_500 })).ids()).toEqual(Array.from({ length: 1_500 }, (_, i) => 845 + i));
  });

  test("comes without the fields that a mask leaves out", async () => {
    const paths = ["source.pod_name", "Summary", "l7.http.url", "ethernet", "is_reply", "time"];
    const reader = await read(store, { number: 1, fieldMask: { paths } });
    expect(Object.keys(reader.got[0]!.flow!).toSorted()).toEqual(["Summary", "isReply", "l7", "source", "time"]);
    expect(reader.got[0]!.flow!.source).toEqual({ podName: "web" });
    expect(reader.got[0]!.nodeName).toBe(PLACE.node);
  });

  test("is not read on for a reader who has left", async () => {
    const { reader, ended } = ask(storeWith(...flowsFrom(0, 3_000)), {});
    reader.leave();
    await ended;
    expect(reader.got.length).toBeLessThan(2);
  });

  test("that nobody asked for is looked at up to a bound, and the reader is told", async () => {
    const rare = storeWith();
    const page = { flows: flowsFrom(0, 1_000), cursor: "there is always more" };
    rare.flows = () => Promise.resolve(page);
    const whitelist = [{ httpMethod: ["DELETE"] }];
    const reader = await read(rare, { number: 5, whitelist });
    expect(reader.ids()).toEqual([]);
    expect(reader.got).toMatchObject([{ nodeStatus: { stateChange: "NODE_ERROR", nodeNames: [PLACE.node] } }]);
  });
});

describe("who may read one namespace", () => {
  const bank = { ...sampleFlow().destination, namespace: "bank" };
  const clerk = { ...sampleFlow().source, namespace: "bank" };
  const store = storeWith(
    ...flowsFrom(0, 1),
    ...flowsFrom(1, 1, { destination: bank }),
    ...flowsFrom(2, 1, { source: clerk, destination: bank }),
  );

  test.each<[string, Request, readonly string[], readonly number[]]>([
    ["sees what one side of it took part in", {}, ["shop"], [0, 1]],
    ["sees nothing between others", {}, ["staff"], []],
    ["sees nothing without a namespace", {}, [], []],
    ["cannot ask for others by namespace", { whitelist: [{ sourcePod: ["bank/"] }] }, ["shop"], []],
    ["cannot ask for others by id", { whitelist: [{ uuid: ["0000000000000002"] }] }, ["shop"], []],
    ["cannot ask for others by their first", { first: true, number: 5 }, ["staff"], []],
    ["cannot ask for others by leaving out its own", { blacklist: [{ sourcePod: ["shop/"] }] }, ["shop"], []],
  ])("%s", async (_name, request, namespaces, ids) => {
    expect((await read(store, request, new Set(namespaces))).ids()).toEqual(ids);
  });

  test("follows nothing of others", async () => {
    const live = storeWith();
    const { reader, ended } = ask(live, { follow: true }, new Set(["shop"]));
    live.put(flowsFrom(0, 1, { source: clerk, destination: bank }));
    live.put(flowsFrom(1, 1));
    await expect.poll(() => reader.ids()).toEqual([1]);
    reader.leave();
    await ended;
  });
});

describe("what happens", () => {
  test("is told as it does, after what was, and each once", async () => {
    const store = storeWith(...flowsFrom(0, 3));
    const { reader, ended } = ask(store, { follow: true, number: 2 });
    // Between the beginning and the past: it is in both.
    store.put(flowsFrom(3, 1));
    await expect.poll(() => reader.ids().at(-1)).toBe(3);
    store.put(flowsFrom(4, 2));
    await expect.poll(() => reader.ids()).toEqual([2, 3, 4, 5]);
    reader.leave();
    await ended;
    expect(store.followers.size).toBe(0);
  });

  test("alone is told without a number", async () => {
    const store = storeWith(...flowsFrom(0, 3));
    const { reader, ended } = ask(store, { follow: true, whitelist: DENIED });
    store.put([...flowsFrom(3, 1, { verdict: "allowed" }), ...flowsFrom(4, 1)]);
    await expect.poll(() => reader.ids()).toEqual([4]);
    reader.leave();
    await ended;
  });

  test("ends at the moment until which was asked", async () => {
    const store = storeWith();
    const { reader, ended } = ask(store, { follow: true, until: seconds(5) });
    store.put(flowsFrom(4, 3));
    await ended;
    expect(reader.ids()).toEqual([4, 5]);
  });

  test("and finds no room for a slow reader is counted and told, and what comes after it goes on", async () => {
    const store = storeWith();
    const { reader, ended } = ask(store, { follow: true });
    const stall = Promise.withResolvers<void>();
    reader.stalled = stall.promise;
    store.put(flowsFrom(0, 1));
    await expect.poll(() => reader.ids()).toEqual([0]);
    for (let at = 1; at <= FLOW_LIMITS.hubbleWaitingMax + 500; at += 500) store.put(flowsFrom(at, 500));
    reader.stalled = null;
    stall.resolve();
    const expected = FLOW_LIMITS.hubbleWaitingMax + 1;
    await expect.poll(() => reader.got.at(-1)?.lostEvents ?? null).not.toBeNull();
    expect(reader.ids()).toHaveLength(expected);
    expect(reader.got.at(-1)!.lostEvents).toEqual({
      source: "HUBBLE_RING_BUFFER",
      numEventsLost: 500,
      first: seconds(expected),
      last: seconds(expected + 499),
    });
    store.put(flowsFrom(9_000, 1));
    await expect.poll(() => reader.ids().at(-1)).toBe(9_000);
    reader.leave();
    await ended;
  });

  test("does not seem to be nothing when the store has ended", async () => {
    const store = storeWith();
    const { clock, ended } = ask(store, { follow: true });
    const failed = expect(ended).rejects.toMatchObject({ code: "internal" });
    store.isGone = true;
    await clock.advance(6_000);
    await failed;
    expect(store.followers.size).toBe(0);
  });
});

function bytesOf(write: (writer: ProtobufWriter) => void): Buffer {
  const writer = new ProtobufWriter();
  write(writer);
  return writer.finish();
}

function withFilter(number: number): Buffer {
  return bytesOf((writer) => {
    writer.tag(6, 2);
    writer.bytes(
      bytesOf((filter) => {
        filter.tag(number, 2);
        filter.bytes(Buffer.from("x"));
      }),
    );
  });
}

describe("a request", () => {
  test.each([
    [18, "dns_query"],
    [23, "tcp_flags"],
    [32, "http_header"],
    [34, "source_ip_xlated"],
    [35, "interface"],
    [36, "node_labels"],
    [39, "ip_trace_id"],
    [999, "experimental"],
    [41, "field 41"],
    [12_345, "field 12345"],
  ])("whose filter has field %i, which nobody here can answer, is refused by name: %s", (number, name) => {
    expect(() => parseFlowsRequest(withFilter(number))).toThrow(
      expect.objectContaining({ code: "bad-input", message: expect.stringContaining(name) as string }),
    );
  });

  test.each([
    [2, "field 2"],
    [11, "field 11"],
    [999, "field 999"],
    [150_000, "field 150000"],
  ])("with field %i itself is refused", (number, name) => {
    const bytes = bytesOf((writer) => {
      writer.tag(number, 2);
      writer.bytes(Buffer.alloc(0));
    });
    expect(() => parseFlowsRequest(bytes)).toThrow(
      expect.objectContaining({ code: "bad-input", message: expect.stringContaining(name) as string }),
    );
  });

  test.each<[string, Request]>([
    ["for the first ones of what happens", { first: true, follow: true }],
    ["for more of the newest than are held", { number: FLOW_LIMITS.hubbleLastMax + 1 }],
    ["since no time", { since: { seconds: 0, nanos: -1 } }],
    ["until no time", { until: { seconds: 1e15, nanos: 0 } }],
    ["with too many filters", { whitelist: Array.from({ length: FLOW_LIMITS.hubbleFiltersMax + 1 }, () => ({})) }],
    ["with too many values", { blacklist: [{ uuid: Array.from({ length: 2_000 }, String) }] }],
    ["with a mask that is none", { fieldMask: { paths: ["source..id"] } }],
    ["with a mask of a prototype", { fieldMask: { paths: ["__proto__.x"] } }],
  ])("%s is refused", (_name, request) => {
    expect(() => parseFlowsRequest(GET_FLOWS_REQUEST.serialize(request))).toThrow(
      expect.objectContaining({ code: "bad-input" }),
    );
  });

  test.each([Buffer.from([0xff]), Buffer.from([0x32, 0x05, 0x0a]), Buffer.from("08ffffffffffffffffffff7f", "hex")])(
    "that is no protobuf is refused",
    (bytes) => {
      expect(() => parseFlowsRequest(bytes)).toThrow(expect.objectContaining({ code: "bad-input" }));
    },
  );

  test("may have every field of a filter that the table knows", () => {
    const empty = FLOW_FILTER.deserialize(Buffer.alloc(0));
    const told = Object.keys(empty).map((name) => {
      const value = VALUES[name as keyof typeof empty] ?? ["x"];
      return { [name]: value };
    });
    expect(told.length).toBeGreaterThan(30);
    for (const filter of told) {
      const bytes = GET_FLOWS_REQUEST.serialize({ whitelist: [filter] });
      try {
        parseFlowsRequest(bytes);
      } catch (error) {
        // A value may be none; the field itself is known.
        expect(String(error)).not.toMatch(/is not known here|: no sidecar|flows are kept without/);
      }
    }
  });
});

const VALUES: Readonly<Partial<Record<string, readonly unknown[]>>> = {
  verdict: ["DROPPED"],
  eventType: [{ type: 1 }],
  reply: [true],
  sourceIdentity: [1],
  destinationIdentity: [1],
  ipVersion: ["IPv4"],
  sourceWorkload: [{ name: "x" }],
  destinationWorkload: [{ name: "x" }],
  trafficDirection: ["EGRESS"],
  dropReasonDesc: ["POLICY_DENY"],
  encrypted: [true],
};
