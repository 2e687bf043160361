import { describe, expect, test } from "vitest";
import { EXPORT_TRACES, EXPORT_TRACES_RESPONSE } from "../../../../src/api/otlp-messages.ts";
import { TRACE_LIMITS } from "../../../../src/core/trace-limits.ts";
import { encodeSpan, type ProxySpan } from "../../../../src/observe/otlp-span.ts";
import type { UnaryOutcome } from "../../../../src/proxy/calls/unary-call.ts";
import { SpanExporter } from "../../../../src/proxy/spans/span-exporter.ts";
import { GRPC } from "../../../../src/wire/grpc-status.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { readSpanRequest } from "../../../support/read-spans.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";

const TAKEN: UnaryOutcome = { at: "answered", message: EXPORT_TRACES_RESPONSE.serialize({}) };
const failedWith = (code: number): UnaryOutcome => ({ at: "failed", status: { code, message: "no" } });

const SPAN: ProxySpan = {
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  spanId: "00f067aa0ba902b7",
  parentSpanId: null,
  isParentRemote: false,
  isSampled: true,
  name: "GET",
  kind: "server",
  startMs: 1_764_000_000_000.125,
  endMs: 1_764_000_000_001.5,
  attributes: [
    ["url.path", "/"],
    ["no", null],
    ["http.response.status_code", 200],
  ],
  failure: null,
  events: [],
};

function openWorld() {
  const clock = createSimulatedClock(Date.UTC(2026, 10, 22));
  const names: string[] = [];
  const paths = new Set<string>();
  const world = { outcome: TAKEN as UnaryOutcome | Promise<UnaryOutcome>, requests: 0 };
  const log = createKeptLog();
  const exporter = new SpanExporter({
    calls: {
      async call(path, request) {
        world.requests++;
        paths.add(path);
        const outcome = await world.outcome;
        if (outcome.at === "answered")
          for (const { resource, spans } of readSpanRequest(Buffer.concat(request))) {
            expect(resource).toEqual({ "service.name": "web" });
            names.push(...spans.map(({ name }) => name));
          }
        return outcome;
      },
      close() {},
    },
    resource: { "service.name": "web" },
    version: "1",
    clock,
    random: { bytes: (count) => Buffer.alloc(count), float: () => 0.5 },
    logger: log,
  });
  const add = (name: string) => exporter.add(encodeSpan({ ...SPAN, name }));
  const pass = (ms: number) => clock.advance(ms);
  return { world, names, paths, log, exporter, add, pass };
}

describe("spans", () => {
  test("gather, and go in one request", async () => {
    const { world, names, paths, add, pass, exporter } = openWorld();
    for (const name of ["a", "b", "c"]) add(name);
    expect(world.requests).toBe(0);
    await pass(TRACE_LIMITS.spanExportGatherMs + 100);
    expect({ names, requests: world.requests, paths: [...paths] }).toEqual({
      names: ["a", "b", "c"],
      requests: 1,
      paths: [EXPORT_TRACES],
    });
    expect(exporter.counts).toEqual({ exported: 3, dropped: { rate: 0, "queue-full": 0, refused: 0, ended: 0 } });
  });

  test.each([GRPC.UNAVAILABLE, GRPC.UNAUTHENTICATED, GRPC.DEADLINE_EXCEEDED, GRPC.RESOURCE_EXHAUSTED])(
    "go again after status %d, later and later, and the failure is said once",
    async (code) => {
      const { world, names, add, pass, log } = openWorld();
      world.outcome = failedWith(code);
      add("a");
      await pass(20_000);
      const tried = world.requests;
      expect(tried).toBeGreaterThan(3);
      expect(tried).toBeLessThan(8);
      world.outcome = TAKEN;
      await pass(40_000);
      expect(names).toEqual(["a"]);
      expect(log.events().filter((event) => event === "span-export")).toHaveLength(1);
    },
  );

  test.each([GRPC.INVALID_ARGUMENT, GRPC.UNIMPLEMENTED, GRPC.PERMISSION_DENIED])(
    "do not go again after status %d, and are counted",
    async (code) => {
      const { world, add, pass, exporter } = openWorld();
      world.outcome = failedWith(code);
      add("a");
      await pass(20_000);
      expect(world.requests).toBe(1);
      expect(exporter.counts).toMatchObject({ exported: 0, dropped: { refused: 1 } });
    },
  );

  test("that are refused in part are counted", async () => {
    const { world, add, pass, exporter } = openWorld();
    const partialSuccess = { rejectedSpans: 2, errorMessage: "no" };
    world.outcome = { at: "answered", message: EXPORT_TRACES_RESPONSE.serialize({ partialSuccess }) };
    for (const name of ["a", "b", "c"]) add(name);
    await pass(2_000);
    expect(exporter.counts).toMatchObject({ exported: 1, dropped: { refused: 2 } });
  });

  test("wait in bounded memory while nobody answers; what is too much is dropped and counted", async () => {
    const { world, names, add, pass, exporter } = openWorld();
    const { promise, resolve } = Promise.withResolvers<UnaryOutcome>();
    world.outcome = promise;
    const all = 40_000;
    for (let i = 0; i < all; i++) add("x");
    await pass(60_000);
    expect(world.requests).toBe(1);
    const { dropped } = exporter.counts;
    expect(dropped["queue-full"]).toBeGreaterThan(0);
    world.outcome = TAKEN;
    resolve(TAKEN);
    await pass(5_000);
    expect(names.length).toBe(all - dropped["queue-full"]);
    expect(names.length * 90).toBeLessThan(TRACE_LIMITS.spanExportBytesMax * 2);
  });

  test("that wait at the end are sent", async () => {
    const { names, add, exporter } = openWorld();
    add("a");
    await exporter.close();
    expect(names).toEqual(["a"]);
    add("b");
    expect(exporter.counts).toMatchObject({ exported: 1, dropped: { ended: 1 } });
  });

  test("that could not be sent by the end are counted", async () => {
    const { world, add, exporter } = openWorld();
    world.outcome = failedWith(GRPC.UNAVAILABLE);
    add("a");
    await exporter.close();
    expect(exporter.counts).toMatchObject({ exported: 0, dropped: { ended: 1 } });
  });
});
