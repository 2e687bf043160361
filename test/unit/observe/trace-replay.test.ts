import { describe, expect, test } from "vitest";
import { readTraces } from "../../../src/observe/traces/read-traces.ts";
import { replayKey, replayOf } from "../../../src/observe/traces/replay.ts";

const HEAD = "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration";

/** Rows of `span parent service name start end`, in milliseconds. */
function table(...rows: readonly string[]) {
  const lines = rows.map((row) => {
    const [span, parent, service, name, start, end] = row.split(" ");
    return `t,${span},${parent},${service}-579b9bff58-t2dbm,${name},${start}000000,${end}000000,0`;
  });
  return readTraces([HEAD, ...lines].join("\n"), "table.csv");
}

const SHOP = table(
  "1 root web shop.Web/Recv 100 200",
  // Two that the client's spans time, one after the other; and one beside the second.
  "2 1 web shop.Cart/Get 110 130",
  "3 2 cart shop.Cart/Get 915 920",
  "4 1 web shop.Ads/Get 140 160",
  "5 4 ads shop.Ads/Get 145 150",
  "6 1 web shop.Cart/Add 150 170",
  "7 6 cart shop.Cart/Add 151 169",
  // Inside the cart: found through a span of its own.
  "8 7 cart work 152 168",
  "9 8 redis shop.Redis/Set 153 154",
);

function jaegerSpan(spanID: string, processID: string, rest: object): object {
  return { traceID: "t", spanID, processID, ...rest };
}

describe("what a service did in recorded traces", () => {
  test("is the traces that it began, with its calls in their order, by its own clock", () => {
    const { begun, served, leftOut } = replayOf(SHOP, "web");
    expect(served.size).toBe(0);
    expect(leftOut).toBe(0);
    expect(begun).toHaveLength(1);
    expect(begun[0]).toMatchObject({ spanId: "1", request: null, startMs: 100, durationMs: 100 });
    const calls = begun[0]!.calls.map(({ called, request, afterMs, waitsFor }) => {
      return [called.name, request.path, afterMs, waitsFor];
    });
    expect(calls).toEqual([
      ["cart", "/shop.Cart/Get", 10, []],
      ["ads", "/shop.Ads/Get", 40, [0]],
      // It began while the ads were still being fetched.
      ["cart", "/shop.Cart/Add", 50, [0]],
    ]);
  });

  test("is the calls that it got, each with those that it made meanwhile", () => {
    const { begun, served } = replayOf(SHOP, "cart");
    expect(begun).toEqual([]);
    expect([...served.keys()]).toEqual(["t 7", "t 3"]);
    const add = served.get(replayKey({ traceId: "t", spanId: "7" }))!;
    expect(add).toMatchObject({ request: { method: "POST", path: "/shop.Cart/Add" }, status: 200, durationMs: 18 });
    expect(add.calls).toMatchObject([{ spanId: "9", called: { name: "redis" }, afterMs: 1 }]);
    expect(served.get("t 3")!.calls).toEqual([]);
  });

  test("is nothing for a service that the traces do not have", () => {
    expect(replayOf(SHOP, "loadgenerator")).toEqual({ begun: [], served: new Map(), leftOut: 0 });
  });

  test("leaves out, and counts, what was not asked for over HTTP", () => {
    const spans = table("1 root web work 1 9", "2 1 queue publish 2 3");
    expect(replayOf(spans, "web")).toMatchObject({ begun: [{ calls: [] }], leftOut: 1 });
    expect(replayOf(spans, "queue").served.size).toBe(0);
  });

  test("ends where a service's spans are each other's parents", () => {
    const spans = table("1 2 web a.A/A 1 9", "2 1 web a.A/B 1 9", "3 2 cart a.A/C 2 3");
    expect(replayOf(spans, "web")).toMatchObject({ begun: [], leftOut: 1 });
  });

  test("has the recorded status and duration where Jaeger says them", () => {
    const text = JSON.stringify({
      data: [
        {
          processes: { p1: { serviceName: "web" }, p2: { serviceName: "cart" } },
          spans: [
            jaegerSpan("1", "p1", { operationName: "GET", startTime: 1_000, duration: 8_000 }),
            jaegerSpan("2", "p2", {
              operationName: "GET",
              parentSpanID: "1",
              startTime: 2_500,
              duration: 1_500,
              tags: [
                { key: "http.method", value: "GET" },
                { key: "http.target", value: "/cart?user=7" },
                { key: "http.status_code", value: 404 },
              ],
            }),
          ],
        },
      ],
    });
    const [begun] = replayOf(readTraces(text, "jaeger.json"), "web").begun;
    expect(begun).toMatchObject({ status: 200, durationMs: 8 });
    expect(begun!.calls).toMatchObject([{ request: { method: "GET", path: "/cart" }, status: 404, afterMs: 1.5 }]);
  });
});
