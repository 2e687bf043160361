import { describe, expect, test } from "vitest";
import type { FlowPeer, FlowRecord } from "../../../src/observe/flow.ts";
import { traceTree, type TracedExchange } from "../../../src/observe/trace-tree.ts";
import { renderTrace } from "../../../src/cli/trace-waterfall.ts";
import { sampleFlow, WEB } from "../../support/sample-flow.ts";

const T0 = Date.UTC(2026, 10, 22);
const peer = (workload: string): FlowPeer => ({ ...WEB, workload });
const span = (digit: string): string => digit.repeat(16);

/** Both sidecars' records of a call, from one moment of the trace to another. */
function call(
  [from, to]: readonly [string, string],
  [startMs, endMs]: readonly [number, number],
  ids: { readonly parent: string | null; readonly between: string; readonly below: string },
  changes: Partial<FlowRecord> = {},
): readonly FlowRecord[] {
  const common = {
    source: peer(from),
    destination: peer(to),
    verdict: "allowed",
    reason: "service-registered",
    status: 200,
    timeMs: T0 + endMs,
    durationMs: endMs - startMs,
    ...changes,
  } as const;
  return [
    sampleFlow({
      ...common,
      reporter: "source",
      spanId: span(ids.between),
      parentSpanId: ids.parent && span(ids.parent),
    }),
    sampleFlow({ ...common, reporter: "destination", spanId: span(ids.below), parentSpanId: span(ids.between) }),
  ];
}

/** `web>orders(orders>payments web>orders)`. */
function shapeOf(roots: readonly TracedExchange[]): string {
  return roots
    .map(({ flow, children }) => {
      const below = children.length === 0 ? "" : `(${shapeOf(children)})`;
      return `${flow.source.workload}>${flow.destination.workload}${below}`;
    })
    .join(" ");
}

const WEB_CALLS = call(["web", "orders"], [0, 100], { parent: null, between: "1", below: "2" });

describe("what led to what", () => {
  test("is told by ids where the app passes its context on", () => {
    const inner = call(["orders", "payments"], [20, 60], { parent: "2", between: "3", below: "4" });
    const second = call(["orders", "ledger"], [70, 80], { parent: "2", between: "5", below: "6" });
    expect(shapeOf(traceTree([...second, ...inner, ...WEB_CALLS]))).toBe("web>orders(orders>payments orders>ledger)");
  });

  test("is told by who was being served then, where the app has spans of its own", () => {
    const inner = call(["orders", "payments"], [20, 60], { parent: "9", between: "3", below: "4" });
    expect(shapeOf(traceTree([...inner, ...WEB_CALLS]))).toBe("web>orders(orders>payments)");
  });

  test("begins anew with what nothing here has caused", () => {
    const other = call(["web", "payments"], [20, 60], { parent: "9", between: "3", below: "4" });
    const later = call(["orders", "payments"], [200, 260], { parent: "8", between: "5", below: "6" });
    expect(shapeOf(traceTree([...WEB_CALLS, ...other, ...later]))).toBe("web>orders web>payments orders>payments");
  });

  test("is shown of one side alone, where the other told nothing", () => {
    const [source] = call(["orders", "payments"], [20, 60], { parent: "2", between: "3", below: "4" });
    const [, destination] = call(["payments", "ledger"], [30, 50], { parent: "4", between: "5", below: "6" });
    const roots = traceTree([...WEB_CALLS, source!, destination!]);
    expect(shapeOf(roots)).toBe("web>orders(orders>payments(payments>ledger))");
    expect(roots[0]!.children[0]!.destination).toBeNull();
  });

  test("has a try that was not the last below the request that made it", () => {
    const [, failed] = call(["web", "orders"], [5, 20], { parent: null, between: "7", below: "8" }, { status: 503 });
    const [source, last] = call(
      ["web", "orders"],
      [0, 50],
      { parent: null, between: "1", below: "2" },
      { attempts: 2 },
    );
    expect(shapeOf(traceTree([failed!, source!, last!]))).toBe("web>orders(web>orders)");
  });

  test("comes to an end, and loses nothing, whatever the ids say", () => {
    const circle = [
      ...call(["a", "b"], [0, 10], { parent: "4", between: "1", below: "2" }),
      ...call(["b", "a"], [0, 10], { parent: "2", between: "3", below: "4" }),
      ...call(["a", "a"], [0, 10], { parent: "5", between: "5", below: "5" }),
    ];
    const count = (roots: readonly TracedExchange[]): number =>
      roots.reduce((sum, { children }) => sum + 1 + count(children), 0);
    expect(count(traceTree(circle))).toBe(3);
    // What was stored twice counts once.
    expect(count(traceTree([...circle, ...circle]))).toBe(3);
    expect(traceTree([])).toEqual([]);
  });
});

describe("as lines", () => {
  const denied = call(
    ["orders", "payments"],
    [50, 75],
    { parent: "2", between: "3", below: "4" },
    { verdict: "denied", reason: "no-allow-rule-matched", status: 403, id: "00000000deadbeef" },
  );
  const roots = traceTree([...WEB_CALLS, ...denied]);

  test("they are a tree with outcome, duration and a bar", () => {
    expect(renderTrace(roots, { width: 100, colour: false })).toEqual([
      `web > orders  GET /admin/refunds        200            100ms ${"━".repeat(39)}`,
      `└ orders > payments  GET /admin/refunds denied          25ms ${" ".repeat(19)}${"━".repeat(10)}`,
      "    cardea explain 00000000deadbeef",
    ]);
  });

  test.each([20, 40, 60, 80, 300])("they stay within a width of %d where that is enough", (width) => {
    for (const line of renderTrace(roots, { width, colour: false }))
      expect(line.length).toBeLessThanOrEqual(Math.max(width, 65));
  });

  test("nothing of a path acts on the terminal", () => {
    const hostile = traceTree(
      call(["web", "\u001b[2J"], [0, 1], { parent: null, between: "1", below: "2" }, { path: "/\u009b31m\n" }),
    );
    expect(renderTrace(hostile, { width: 200, colour: false }).join("")).toMatch(/^[ -~━└├│…]*$/);
  });
});
