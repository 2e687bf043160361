import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EXPORT_LOGS_RESPONSE } from "../../../../src/api/otlp-messages.ts";
import { FLOW_LIMITS } from "../../../../src/core/flow-limits.ts";
import { openSpillFile } from "../../../../src/io/spill-file.ts";
import type { FlowRecord } from "../../../../src/observe/flow.ts";
import { readLogsRequest } from "../../../../src/observe/otlp-flow-reader.ts";
import type { UnaryOutcome } from "../../../../src/proxy/calls/unary-call.ts";
import { FlowExporter } from "../../../../src/proxy/flow-export/exporter.ts";
import { Spill, type SpillStore } from "../../../../src/proxy/flow-export/spill.ts";
import { GRPC } from "../../../../src/wire/grpc-status.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { sampleFlow } from "../../../support/sample-flow.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";

const AWAY: UnaryOutcome = { at: "failed", status: { code: GRPC.UNAVAILABLE, message: "nobody is there" } };
const TAKEN: UnaryOutcome = { at: "answered", message: EXPORT_LOGS_RESPONSE.serialize({}) };

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-export-"));
});

afterEach(() => rmSync(directory, { recursive: true }));

/** A collector that answers as a test says, and an exporter in front of it. */
async function openWorld(options: { spillBytesMax?: number; spillStore?: SpillStore; sampleOneIn?: number } = {}) {
  const clock = createSimulatedClock(Date.UTC(2026, 10, 22));
  const log = createKeptLog();
  const got: string[] = [];
  const flows: FlowRecord[] = [];
  const losses: Record<string, unknown>[] = [];
  const world = { outcome: TAKEN, requests: 0 };
  const file = join(directory, "web.spill");
  const spill = await openSpill(file, options);
  const exporter = new FlowExporter({
    calls: {
      async call(_path, request) {
        world.requests++;
        if (world.outcome.at === "answered")
          readLogsRequest(Buffer.concat(request), {
            onFlow(each) {
              got.push(each.id);
              flows.push(each);
            },
            onOther: (_name, attributes) => losses.push(Object.fromEntries(attributes)),
            onRefused: (why) => {
              throw new Error(why);
            },
          });
        return world.outcome;
      },
      close() {},
    },
    spill,
    resource: { "service.name": "web" },
    version: "1",
    sampleOneIn: options.sampleOneIn ?? 1,
    clock,
    random: { bytes: (count) => Buffer.alloc(count), float: () => 0.5 },
    logger: log,
  });
  return Object.assign(world, { clock, log, got, flows, losses, exporter, file });
}

async function openSpill(
  file: string,
  { spillBytesMax, spillStore }: { spillBytesMax?: number; spillStore?: SpillStore },
) {
  if (spillStore !== undefined) return new Spill(spillStore);
  return spillBytesMax === undefined ? null : new Spill(await openSpillFile(file, spillBytesMax));
}

/** A disk that takes no time, which is the clock's in a test. */
function memorySpill(bytesMax: number): SpillStore {
  const held = Buffer.allocUnsafe(bytesMax);
  let [start, end] = [0, 0];
  return {
    get bytes() {
      return end - start;
    },
    async append(piece) {
      if (end + piece.length > bytesMax) return false;
      end += piece.copy(held, end);
      return true;
    },
    peek: async (most) => held.subarray(start, Math.min(end, start + most)),
    async drop(count) {
      start += count;
    },
    async close() {},
  };
}

let made = 0;

function flow(changes: Partial<FlowRecord> = {}): FlowRecord {
  return sampleFlow({ id: (made++).toString(16).padStart(16, "0"), ...changes });
}

const allowed = (changes: Partial<FlowRecord> = {}) =>
  flow({ verdict: "allowed", reason: "allow-rule-matched", ...changes });

describe("flows go to the collector", () => {
  test("in one request for those of a moment, denials first", async () => {
    const { exporter, clock, got, ...world } = await openWorld();
    const flows = [allowed(), flow(), allowed()];
    for (const each of flows) exporter.record(each);
    await clock.advance(FLOW_LIMITS.flowExportGatherMs);
    expect(got).toEqual([flows[1]!.id, flows[0]!.id, flows[2]!.id]);
    expect(exporter.counts.exported).toBe(3);
    await exporter.close();
    expect(world.log.lines).toEqual([]);
  });

  test("when the sidecar ends, without waiting for the moment to be over", async () => {
    const { exporter, got } = await openWorld();
    exporter.record(allowed());
    await exporter.close();
    expect(got).toHaveLength(1);
  });

  test("again after a failure, later each time, and no record is lost or sent twice", async () => {
    const world = await openWorld();
    const { exporter, clock, got } = world;
    world.outcome = AWAY;
    exporter.record(allowed());
    await clock.advance(FLOW_LIMITS.flowExportGatherMs);
    const requests: number[] = [];
    for (let second = 0; second < 64; second++) {
      await clock.advance(1_000);
      requests.push(world.requests);
    }
    expect(requests.at(-1)).toBeLessThan(12);
    expect(requests.at(-1)).toBeGreaterThan(4);
    world.outcome = TAKEN;
    await clock.advance(FLOW_LIMITS.flowExportRetryMsMax);
    expect(got).toHaveLength(1);
    expect(world.log.events()).toEqual(["flow-export", "flow-export-again"]);
    await exporter.close();
  });

  test.each([GRPC.INVALID_ARGUMENT, GRPC.UNIMPLEMENTED, GRPC.PERMISSION_DENIED])(
    "never again after status %s: it is counted, and the collector is told",
    async (code) => {
      const world = await openWorld();
      world.outcome = { at: "failed", status: { code, message: "no" } };
      world.exporter.record(allowed());
      await world.clock.advance(FLOW_LIMITS.flowExportGatherMs);
      expect(world.exporter.counts).toMatchObject({ exported: 0, dropped: { refused: 1 } });
      // And not told for its own sake: it would be refused again and again.
      await world.clock.advance(FLOW_LIMITS.flowExportRetryMsMax);
      expect(world.requests).toBe(1);
      world.outcome = TAKEN;
      const next = allowed();
      world.exporter.record(next);
      await world.clock.advance(FLOW_LIMITS.flowExportGatherMs);
      expect(world.got).toEqual([next.id]);
      expect(world.losses).toEqual([
        { "cardea.loss.reason": "refused", "cardea.loss.verdict": "allowed", "cardea.loss.flows": 1 },
      ]);
      await world.exporter.close();
    },
  );

  test("and what the collector refuses of a request is counted", async () => {
    const world = await openWorld();
    const partialSuccess = { rejectedLogRecords: 1, errorMessage: "forged" };
    world.outcome = { at: "answered", message: EXPORT_LOGS_RESPONSE.serialize({ partialSuccess }) };
    world.exporter.record(allowed());
    world.exporter.record(allowed());
    await world.clock.advance(FLOW_LIMITS.flowExportGatherMs);
    expect(world.exporter.counts).toMatchObject({ exported: 1, dropped: { refused: 1 } });
    world.outcome = TAKEN;
    await world.exporter.close();
  });

  test("never more than a request may hold at a time", async () => {
    const { exporter, clock, got, ...world } = await openWorld();
    for (let i = 0; i < 4_000; i++) exporter.record(allowed());
    await clock.advance(FLOW_LIMITS.flowExportGatherMs);
    expect(got).toHaveLength(4_000);
    expect(world.requests).toBeLessThan(10);
    await exporter.close();
  });
});

/** With ids as they are drawn. */
const drawn = (changes: Partial<FlowRecord>, i: number) =>
  sampleFlow({
    id: Math.imul(i + 1, 0x9e3779b1)
      .toString(16)
      .replace("-", "")
      .padStart(16, "0"),
    ...changes,
  });

describe("where one in ten is sent of what was simply allowed", () => {
  const ALLOWED = { verdict: "allowed", reason: "allow-rule-matched", status: 200 } as const;

  test.each<[string, Partial<FlowRecord>]>([
    ["a denial", { verdict: "denied" }],
    ["what would be denied", { verdict: "would-deny", reason: "no-allow-rule-matched", status: 200 }],
    ["an error", { verdict: "error", reason: "upstream-reset", status: 503 }],
    ["an answer that says that it failed", { ...ALLOWED, status: 500 }],
    ["a gRPC call that failed", { ...ALLOWED, grpcStatus: 13 }],
    ["what an AUDIT policy marks", { ...ALLOWED, auditedBy: "shop/audit#0" }],
    ["what a dry run would decide otherwise", { ...ALLOWED, dryRun: "denied" }],
    ["what was let through by breaking the glass", { ...ALLOWED, reason: "break-glass" }],
  ])("%s is sent each time, and stands for itself", async (_name, changes) => {
    const { exporter, flows } = await openWorld({ sampleOneIn: 10 });
    for (let i = 0; i < 50; i++) exporter.record(drawn(changes, i));
    await exporter.close();
    expect(flows.map(({ sampledFrom }) => sampledFrom)).toEqual(Array.from({ length: 50 }, () => null));
  });

  test("of the others a tenth is sent, each of which stands for ten", async () => {
    const { exporter, flows } = await openWorld({ sampleOneIn: 10 });
    for (let i = 0; i < 5_000; i++) exporter.record(drawn(ALLOWED, i));
    await exporter.close();
    expect(flows.length).toBeGreaterThan(400);
    expect(flows.length).toBeLessThan(600);
    expect(new Set(flows.map(({ sampledFrom }) => sampledFrom))).toEqual(new Set([10]));
    expect(exporter.counts.dropped["queue-full"]).toBe(0);
  });
});

describe("while the collector is away", () => {
  /** More than memory holds. */
  const MANY = Math.ceil((FLOW_LIMITS.flowExportBytesMax / 280) * 1.2);

  test("what was let through is dropped first, and denials find their room", async () => {
    const world = await openWorld();
    const { exporter, clock } = world;
    world.outcome = AWAY;
    for (let i = 0; i < MANY; i++) exporter.record(allowed());
    const denials = Array.from({ length: 500 }, () => flow());
    for (const denial of denials) exporter.record(denial);
    const before = exporter.counts.dropped["queue-full"];
    expect(before).toBeGreaterThan(0);
    world.outcome = TAKEN;
    await clock.advance(FLOW_LIMITS.flowExportRetryMsMax);
    expect(world.got).toEqual(expect.arrayContaining(denials.map(({ id }) => id)));
    expect(world.got.length + before).toBe(MANY + 500);
    // Told in the same breath, so that nobody takes the rest for the whole.
    expect(world.losses).toEqual([
      { "cardea.loss.reason": "queue-full", "cardea.loss.verdict": "allowed", "cardea.loss.flows": before },
    ]);
    await exporter.close();
  });

  test("denials beyond memory are counted by identity, a few hundred of these", async () => {
    const world = await openWorld();
    const { exporter, clock } = world;
    world.outcome = AWAY;
    const callers = Array.from({ length: 400 }, (_, i) => ({
      ...sampleFlow().source,
      principal: `spiffe://cluster.local/ns/n/sa/${i}`,
    }));
    for (let i = 0; i < MANY * 2; i++) exporter.record(flow({ source: callers[i % callers.length]! }));
    const dropped = exporter.counts.dropped["queue-full"];
    expect(dropped).toBeGreaterThan(1_000);
    world.outcome = TAKEN;
    await clock.advance(FLOW_LIMITS.flowExportRetryMsMax);
    const told = world.losses.map((loss) => loss["cardea.loss.flows"] as number);
    expect(told.reduce((sum, count) => sum + count, 0)).toBe(dropped);
    expect(told.length).toBeLessThan(300);
    expect(world.losses.filter((loss) => loss["cardea.loss.principal"] === undefined)).toHaveLength(1);
    await exporter.close();
  });

  test("for five minutes under load, no denial is lost that the disk has room for", async () => {
    const world = await openWorld({ spillStore: memorySpill(FLOW_LIMITS.flowSpillBytesMax) });
    const { exporter, clock } = world;
    world.outcome = AWAY;
    const denials: string[] = [];
    for (let tick = 0; tick < 300; tick++) {
      for (let i = 0; i < 50; i++) {
        const denial = flow({ path: `/x/${i}` });
        denials.push(denial.id);
        exporter.record(denial);
        exporter.record(allowed());
      }
      await clock.advance(1_000);
    }
    world.outcome = TAKEN;
    await clock.advance(FLOW_LIMITS.flowExportRetryMsMax);
    const got = new Set(world.got);
    expect(denials.filter((id) => !got.has(id))).toEqual([]);
    await exporter.close();
    expect(exporter.counts.dropped["queue-full"] + world.got.length).toBe(30_000);
  }, 60_000);

  test("a sidecar that ends leaves its denials on the disk for the next", async () => {
    const first = await openWorld({ spillBytesMax: 100_000 });
    first.outcome = AWAY;
    const denial = flow();
    first.exporter.record(denial);
    first.exporter.record(allowed());
    await first.clock.advance(FLOW_LIMITS.flowExportGatherMs);
    await first.exporter.close();
    expect(first.exporter.counts.dropped.ended).toBe(1);
    const second = await openWorld({ spillBytesMax: 100_000 });
    await second.clock.advance(FLOW_LIMITS.flowExportGatherMs);
    await second.exporter.close();
    expect(second.got).toEqual([denial.id]);
  });

  test("a spill that is no spill any more is dropped, and the exporter goes on", async () => {
    writeFileSync(join(directory, "web.spill"), "torn and overwritten");
    const world = await openWorld({ spillBytesMax: 100_000 });
    world.exporter.record(allowed());
    await world.clock.advance(FLOW_LIMITS.flowExportGatherMs);
    await world.exporter.close();
    expect(world.got).toHaveLength(1);
  });
});
