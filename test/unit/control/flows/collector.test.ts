import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { EXPORT_LOGS_RESPONSE } from "../../../../src/api/otlp-messages.ts";
import { type Collected, collectLogs } from "../../../../src/control/flows/collect.ts";
import { createLogsService } from "../../../../src/control/flows/logs-service.ts";
import { openFlowStore, type OpenFlowStore, startStoreThread } from "../../../../src/control/flows/open-store.ts";
import type { ThreadData } from "../../../../src/control/flows/thread-messages.ts";
import { CardeaError } from "../../../../src/core/errors.ts";
import { FLOW_LIMITS } from "../../../../src/core/flow-limits.ts";
import { parseSpiffeId, type SpiffeId } from "../../../../src/core/spiffe-id.ts";
import type { Thread } from "../../../../src/io/worker.ts";
import type { FlowRecord } from "../../../../src/observe/flow.ts";
import { encodeLossLog } from "../../../../src/observe/otlp-loss.ts";
import { LOG_RECORD_TAG, resourceHead, scopeHead } from "../../../../src/observe/otlp-request.ts";
import { ProtobufBytes } from "../../../../src/wire/protobuf-bytes.ts";
import { changedRequest } from "../../../support/changed-request.ts";
import { flowsRequest } from "../../../support/flows-request.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";
import { PAYMENTS, plaintextFlow, sampleFlow, WEB } from "../../../support/sample-flow.ts";

const PAYMENTS_ID = parseSpiffeId(PAYMENTS.principal!);
const WEB_ID = parseSpiffeId(WEB.principal!);
const none = { onFlow: () => {}, onLoss: () => {} };

describe("a record is taken from its own sidecar alone", () => {
  test.each([
    ["the called workload's, of what it saw", sampleFlow(), PAYMENTS_ID],
    ["the caller's, of what it saw", sampleFlow({ reporter: "source" }), WEB_ID],
    ["the called workload's, of a caller without identity", plaintextFlow(), PAYMENTS_ID],
  ])("%s", (_name, flow, sender) => {
    expect(collectLogs(flowsRequest([flow]), sender, none)).toEqual({ accepted: 1, rejected: 0, why: "" });
  });

  test.each([
    ["the caller's, of what the called workload saw", sampleFlow(), WEB_ID],
    ["the called workload's, of what the caller saw", sampleFlow({ reporter: "source" }), PAYMENTS_ID],
    ["anybody's, of others", sampleFlow(), parseSpiffeId("spiffe://cluster.local/ns/shop/sa/evil")],
    [
      "of the same name in another trust domain",
      sampleFlow(),
      parseSpiffeId("spiffe://other.local/ns/shop/sa/payments"),
    ],
    ["of a source that is nobody", plaintextFlow({ reporter: "source" }), WEB_ID],
    ["with an id that is none", sampleFlow({ id: "x" }), PAYMENTS_ID],
    ["with a port that is none", sampleFlow({ destination: { ...PAYMENTS, port: 70_000 } }), PAYMENTS_ID],
  ])("refused: %s", (_name, flow, sender) => {
    const told: unknown[] = [];
    const collected = collectLogs(flowsRequest([flow]), sender, { ...none, onFlow: (each) => told.push(each) });
    expect(collected).toMatchObject({ accepted: 0, rejected: 1 });
    expect(collected.why).not.toBe("");
    expect(told).toEqual([]);
  });

  test.each([
    ["more bytes than can be", "http.response.body.size", { doubleValue: 1e300 }],
    ["fewer bytes than none", "http.request.body.size", { doubleValue: -1 }],
    ["half a port", "source.port", { doubleValue: 0.5 }],
  ])("refused: with %s", (_name, otel, value) => {
    const request = changedRequest(sampleFlow(), (attributes) => [
      ...attributes.filter(({ key }) => key !== otel),
      { key: otel, value },
    ]);
    expect(collectLogs(request, PAYMENTS_ID, none)).toMatchObject({ accepted: 0, rejected: 1 });
  });

  test.each([
    ["a denial that stands for many", { sampledFrom: 10 }],
    ["more than a sidecar may say", { verdict: "allowed", reason: "allow-rule-matched", sampledFrom: 10_001 }],
    ["none", { verdict: "allowed", reason: "allow-rule-matched", sampledFrom: 0 }],
    ["many, with an error", { verdict: "allowed", reason: "allow-rule-matched", status: 502, sampledFrom: 2 }],
  ] as const)("refused: one that stands for %s", (_name, changes) => {
    expect(collectLogs(flowsRequest([sampleFlow(changes)]), PAYMENTS_ID, none)).toMatchObject({ rejected: 1 });
  });

  test("refused: another's name over that of the scope", () => {
    const value = { stringValue: WEB_ID };
    const request = changedRequest(sampleFlow(), (attributes) => [
      ...attributes,
      { key: "cardea.destination.principal", value },
    ]);
    expect(collectLogs(request, PAYMENTS_ID, none)).toMatchObject({ accepted: 0, rejected: 1 });
  });

  test("one that is refused takes no other with it", () => {
    const flows = [sampleFlow(), sampleFlow({ reporter: "source" }), sampleFlow({ id: "00000000000000aa" })];
    expect(collectLogs(flowsRequest(flows), PAYMENTS_ID, none)).toMatchObject({ accepted: 2, rejected: 1 });
  });
});

describe("what a sidecar says that it lost", () => {
  test.each([
    ["is taken", { reason: "queue-full", verdict: "denied", principal: WEB_ID, flows: 7 }, 1],
    ["of nobody in particular is taken", { reason: "ended", verdict: "allowed", principal: null, flows: 1 }, 1],
    ["with a reason that is none is refused", { reason: "\u001b[2J", verdict: "denied", principal: null, flows: 1 }, 0],
    ["with a verdict that is none is refused", { reason: "ended", verdict: "maybe", principal: null, flows: 1 }, 0],
    ["of half a flow is refused", { reason: "ended", verdict: "denied", principal: null, flows: 0.5 }, 0],
  ])("%s", (_name, loss, accepted) => {
    const told: unknown[] = [];
    const { bytes, length } = encodeLossLog(0, loss);
    const records = new ProtobufBytes();
    records.octet(LOG_RECORD_TAG);
    records.varint(length);
    records.copy(bytes, length);
    const scope = Buffer.concat([scopeHead("1", records.length), records.take()]);
    const request = Buffer.concat([resourceHead({}, scope.length), scope]);
    expect(collectLogs(request, PAYMENTS_ID, { ...none, onLoss: (each) => told.push(each) })).toMatchObject({
      accepted,
    });
    expect(told).toEqual(accepted === 1 ? [loss] : []);
  });
});

describe("the store behind its thread", () => {
  let directory: string;
  let store: OpenFlowStore;
  let log: ReturnType<typeof createKeptLog>;
  let clock: SimulatedClock;
  /** All that were started, the last one being the store's. */
  let threads: Thread[];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "cardea-collector-"));
    log = createKeptLog();
    clock = createSimulatedClock(Date.now());
    threads = [];
    const start = (data: ThreadData): Thread => {
      threads.push(startStoreThread(data));
      return threads.at(-1)!;
    };
    const data = { directory, retentionMs: 7 * 86_400_000, bytesMax: 1e9 };
    store = await openFlowStore(data, { logger: log, clock, start });
  });

  afterEach(async () => {
    await store.close();
    rmSync(directory, { recursive: true });
  });

  /** By no wish of the store's. */
  async function lose(): Promise<void> {
    await threads.at(-1)!.terminate();
    await vi.waitFor(() => expect(log.events()).toContain("flow-store-ended"));
  }

  async function awaitAgain(afterMs: number): Promise<void> {
    await clock.advance(afterMs);
    await vi.waitFor(() => expect(log.events()).toContain("flow-store-again"), 20_000);
  }

  test("answers questions about what was exported, and tells followers", async () => {
    const flow = sampleFlow({ timeMs: Date.now() });
    const followed = Promise.withResolvers<unknown>();
    const end = store.follow({ verdicts: ["denied"] }, "all", (flows) => followed.resolve(flows));
    expect(await store.export(flowsRequest([flow]), PAYMENTS_ID)).toEqual({ accepted: 1, rejected: 0, why: "" });
    expect(await followed.promise).toEqual([flow]);
    end();
    expect(await store.flow(flow.id, "all")).toEqual([flow]);
    expect(await store.flows({ filter: {}, namespaces: new Set(["staff"]), limit: 5 })).toEqual({
      flows: [],
      cursor: null,
    });
    expect((await store.edges({ fromMs: flow.timeMs, toMs: flow.timeMs + 1, namespaces: "all" })).edges).toHaveLength(
      1,
    );
    expect(await store.span()).toEqual({ fromMs: flow.timeMs, toMs: flow.timeMs + 1 });
  });

  test("gives a flow from the future its own time", async () => {
    const aheadMs = Date.now() + 3_600_000;
    await store.export(flowsRequest([sampleFlow({ timeMs: aheadMs })]), PAYMENTS_ID);
    const { flows } = await store.flows({ filter: {}, namespaces: "all", limit: 5 });
    expect(flows[0]!.timeMs).toBeLessThan(aheadMs - 3_000_000);
  });

  test("refuses what is no request, and goes on", async () => {
    await expect(store.export(Buffer.from([0x0a, 0xff]), PAYMENTS_ID)).rejects.toMatchObject({ code: "bad-input" });
    expect(await store.export(flowsRequest([sampleFlow()]), PAYMENTS_ID)).toMatchObject({ accepted: 1 });
  });

  test("stores a batch once that is sent again because its answer got lost", async () => {
    const flows = [sampleFlow({ id: "00000000000000a1" }), sampleFlow({ id: "00000000000000a2", verdict: "allowed" })];
    const request = flowsRequest(flows);
    await store.export(request, PAYMENTS_ID);
    expect(await store.export(request, PAYMENTS_ID)).toEqual({ accepted: 2, rejected: 0, why: "" });
    expect((await store.flows({ filter: {}, namespaces: "all", limit: 9 })).flows).toHaveLength(2);
  });

  test("takes no flow for known because another sender had one of that id", async () => {
    const id = "00000000000000b1";
    await store.export(flowsRequest([sampleFlow({ id, reporter: "source" })]), WEB_ID);
    await store.export(flowsRequest([sampleFlow({ id })]), PAYMENTS_ID);
    expect(await store.flow(id, "all")).toHaveLength(2);
  });

  test("is there as soon as its directory is, and until then the control plane goes on without it", async () => {
    const blocked = join(directory, "blocked");
    writeFileSync(blocked, "a file where the directory should be");
    const late = await openFlowStore(
      { directory: join(blocked, "flows"), retentionMs: 86_400_000, bytesMax: 1e9 },
      { logger: log, clock, start: startStoreThread },
    );
    await expect(late.export(flowsRequest([sampleFlow()]), PAYMENTS_ID)).rejects.toMatchObject({ code: "internal" });
    expect(log.events()).toContain("flow-store-ended");
    rmSync(blocked);
    await clock.advance(FLOW_LIMITS.flowStoreRestartMs);
    await vi.waitFor(() => expect(log.events()).toContain("flow-store-again"), 20_000);
    expect(await late.export(flowsRequest([sampleFlow()]), PAYMENTS_ID)).toMatchObject({ accepted: 1 });
    await late.close();
  });

  describe("when that ends", () => {
    test("refuses what comes meanwhile, and is there again with all that was stored", async () => {
      const denial = sampleFlow({ timeMs: Date.now() });
      await store.export(flowsRequest([denial]), PAYMENTS_ID);
      await lose();
      await expect(store.export(flowsRequest([denial]), PAYMENTS_ID)).rejects.toMatchObject({ code: "internal" });
      await awaitAgain(FLOW_LIMITS.flowStoreRestartMs);
      expect(await store.flow(denial.id, "all")).toEqual([denial]);
    });

    test("stores a denial once that its sidecar sends again to the next", async () => {
      const denial = sampleFlow({ timeMs: Date.now() });
      await store.export(flowsRequest([denial]), PAYMENTS_ID);
      await lose();
      await awaitAgain(FLOW_LIMITS.flowStoreRestartMs);
      await store.export(flowsRequest([denial]), PAYMENTS_ID);
      expect(await store.flow(denial.id, "all")).toEqual([denial]);
    });

    test("tells the same followers of what comes to the next", async () => {
      const followed: FlowRecord[] = [];
      store.follow({}, "all", (flows) => void followed.push(...flows));
      await lose();
      await awaitAgain(FLOW_LIMITS.flowStoreRestartMs);
      const flow = sampleFlow({ timeMs: Date.now() });
      await store.export(flowsRequest([flow]), PAYMENTS_ID);
      await vi.waitFor(() => expect(followed).toEqual([flow]));
    });

    test("waits longer each time, and is never started by one that was closed", async () => {
      await lose();
      await awaitAgain(FLOW_LIMITS.flowStoreRestartMs);
      await threads.at(-1)!.terminate();
      await vi.waitFor(() => expect(log.events().filter((each) => each === "flow-store-ended")).toHaveLength(2));
      await clock.advance(FLOW_LIMITS.flowStoreRestartMs * 1.5);
      expect(threads).toHaveLength(2);
      await store.close();
      await clock.advance(FLOW_LIMITS.flowStoreRestartMsMax);
      expect(threads).toHaveLength(2);
    });
  });

  test("refuses a cursor that is none", async () => {
    const query = { filter: {}, namespaces: "all", limit: 5, cursor: "x" } as const;
    await expect(store.flows(query)).rejects.toMatchObject({ code: "bad-input" });
  });

  test("refuses everything once it is closed", async () => {
    await store.close();
    await expect(store.export(flowsRequest([sampleFlow()]), PAYMENTS_ID)).rejects.toMatchObject({ code: "internal" });
  });
});

describe("LogsService/Export", () => {
  test("says nothing more when all was stored", async () => {
    const { answer, counts } = await exportBy(WEB_ID, { accepted: 3, rejected: 0, why: "" });
    expect(answer).toEqual({ partialSuccess: null });
    expect(counts).toEqual({ stored: 3, rejected: 0 });
  });

  test("says how many were refused and why, and tells people of it", async () => {
    const { answer, counts, log } = await exportBy(WEB_ID, { accepted: 1, rejected: 2, why: "its source is nobody" });
    expect(answer).toEqual({ partialSuccess: { rejectedLogRecords: 2, errorMessage: "its source is nobody" } });
    expect(counts).toEqual({ stored: 1, rejected: 2 });
    expect(log.lines).toMatchObject([{ event: "flows-rejected", fields: { spiffeId: WEB_ID, count: 2 } }]);
  });

  test("takes nothing from a stranger", async () => {
    expect((await exportBy(null, { accepted: 1, rejected: 0, why: "" })).error).toMatchObject({
      code: status.UNAUTHENTICATED,
    });
  });

  test.each([
    ["bad-input", status.INVALID_ARGUMENT],
    ["overloaded", status.UNAVAILABLE],
    ["disk-full", status.UNAVAILABLE],
    ["internal", status.UNAVAILABLE],
  ] as const)("answers %s so that the sender knows whether to try again", async (code, expected) => {
    expect((await exportBy(WEB_ID, new CardeaError(code, "why"))).error).toMatchObject({ code: expected });
  });
});

function exportBy(sender: SpiffeId | null, outcome: Collected | CardeaError) {
  const counts = { stored: 0, rejected: 0 };
  const log = createKeptLog();
  const { definition, handlers } = createLogsService({
    store: { export: () => (outcome instanceof CardeaError ? Promise.reject(outcome) : Promise.resolve(outcome)) },
    callerOf: () => sender,
    observer: { stored: (flows) => (counts.stored += flows), rejected: (flows) => (counts.rejected += flows) },
    logger: log,
  });
  return new Promise<{ error: { code?: number } | null; answer: unknown; counts: typeof counts; log: typeof log }>(
    (resolve) => {
      const handler = handlers["Export"] as (
        call: unknown,
        done: (error: object | null, value?: Collected) => void,
      ) => void;
      handler({ request: Buffer.alloc(0), metadata: new Metadata() }, (error, value) => {
        const answer =
          value === undefined ? null : EXPORT_LOGS_RESPONSE.deserialize(definition["Export"]!.responseSerialize(value));
        resolve({ error, answer, counts, log });
      });
    },
  );
}
