import { describe, expect, test } from "vitest";
import { watchLoopLag } from "../../../src/observe/loop-lag.ts";
import { chooseFormat, formatTitle } from "../../../src/observe/exposition-format.ts";
import { createDataPathMetrics } from "../../../src/observe/metrics.ts";
import { expose, readSamples, samplesOf, valueOf } from "../../support/expose.ts";
import { plaintextFlow, sampleFlow } from "../../support/sample-flow.ts";
import { createSimClock } from "../../support/sim-clock.ts";

const OPENMETRICS = "application/openmetrics-text";

describe("the format", () => {
  test.each([
    [
      "Prometheus 2.42",
      `${OPENMETRICS};version=1.0.0,${OPENMETRICS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1`,
      "openmetrics",
    ],
    [
      "Prometheus 3",
      `${OPENMETRICS};version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,${OPENMETRICS};version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2`,
      "openmetrics",
    ],
    ["an OpenMetrics reader that names no version", OPENMETRICS, "openmetrics"],
    ["other letters, more spaces, quotes", `Application/OpenMetrics-Text ; Version="1.0.0"`, "openmetrics"],
    ["nothing", undefined, "text"],
    ["curl", "*/*", "text"],
    ["a browser", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text"],
    ["who likes text better", `${OPENMETRICS};version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.9`, "text"],
    ["OpenMetrics of a version that is not ours alone", `${OPENMETRICS};version=0.0.1,text/plain;q=0.1`, "text"],
    ["who will not have it", `${OPENMETRICS};version=1.0.0;q=0`, "text"],
    ["weights that are none", `${OPENMETRICS};q=x,text/plain`, "text"],
    ["a list without end", `${"a/b,".repeat(1_000)}${OPENMETRICS}`, "text"],
  ] as const)("for %s", (_who, accept, format) => {
    expect(chooseFormat(accept)).toBe(format);
  });

  test("titles a counter by its family in OpenMetrics, and what nobody has typed as each has it", () => {
    const title = { type: "counter", means: 'It says "so", with a \\.' } as const;
    expect(formatTitle("a_total", title, "text")).toBe(
      '# HELP a_total It says "so", with a \\\\.\n# TYPE a_total counter',
    );
    expect(formatTitle("a_total", title, "openmetrics")).toBe(
      '# HELP a It says \\"so\\", with a \\\\.\n# TYPE a counter',
    );
    const unknown = { type: "unknown", means: "b" } as const;
    expect(formatTitle("b_count", unknown, "text")).toContain("# TYPE b_count untyped");
    expect(formatTitle("b_count", unknown, "openmetrics")).toContain("# TYPE b_count unknown");
  });
});

describe("OpenMetrics", () => {
  test("ends with its mark, also when there is nothing else; the text format has none", async () => {
    const metrics = createDataPathMetrics();
    expect((await expose([metrics], { format: "openmetrics" })).endsWith("\n# EOF\n")).toBe(true);
    expect(await expose([], { format: "openmetrics" })).toBe("# EOF\n");
    expect(await expose([metrics])).not.toContain("# EOF");
  });

  test("spells bounds with their point; the text format as Envoy does", async () => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(sampleFlow());
    const canonical = boundsOf(await expose([metrics], { format: "openmetrics" }));
    expect([canonical[0], canonical[1], canonical[10], canonical.at(-1)]).toEqual(["0.5", "1.0", "2500.0", "+Inf"]);
    const plain = boundsOf(await expose([metrics]));
    expect([plain[0], plain[1], plain[10], plain.at(-1)]).toEqual(["0.5", "1", "2500", "+Inf"]);
  });

  test("says the same numbers under the same labels as the text format", async () => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(sampleFlow());
    metrics.recordRequest(plaintextFlow());
    metrics.tcpOpened(sampleFlow());
    const text = linesOf(await expose([metrics]));
    expect(text.length).toBeGreaterThan(100);
    const canonical = linesOf(await expose([metrics], { format: "openmetrics" }));
    expect(canonical.map((line) => line.replace(/le="(\d+)\.0"/, 'le="$1"'))).toEqual(text);
  });
});

describe("exemplars", () => {
  const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

  test("a sampled request is its bucket's, with its trace, its duration and its time", async () => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(sampleFlow({ durationMs: 30.25 }), true);
    const [line, ...others] = exemplarsOf(await expose([metrics], { format: "openmetrics" }));
    expect(others).toEqual([]);
    expect(line).toMatch(/^istio_request_duration_milliseconds_bucket\{.*,le="50\.0"\} 1 # /);
    expect(line).toContain(` # {trace_id="${TRACE}"} 30.25 1795339800.125`);
  });

  test.each([
    ["the text format has none", true, TRACE, "text"],
    ["a request whose trace nobody keeps is none", false, TRACE, "openmetrics"],
    ["a request without a trace is none", true, null, "openmetrics"],
  ] as const)("%s", async (_name, isSampled, traceId, format) => {
    const metrics = createDataPathMetrics();
    metrics.recordRequest(sampleFlow({ traceId }), isSampled);
    const text = await expose([metrics], { format });
    expect(text).toContain("istio_request_duration_milliseconds_bucket");
    expect(exemplarsOf(text)).toEqual([]);
  });

  test("one stays for five seconds, and goes at once when the clock was set back", async () => {
    const metrics = createDataPathMetrics();
    const { timeMs } = sampleFlow();
    const told = async (flow: Parameters<typeof sampleFlow>[0]) => {
      metrics.recordRequest(sampleFlow({ durationMs: 0.7, ...flow }), true);
      return exemplarsOf(await expose([metrics], { format: "openmetrics" })).map(
        (line) => line.match(/trace_id="(.)/)![1],
      );
    };
    expect(await told({ traceId: "a".repeat(32) })).toEqual(["a"]);
    expect(await told({ traceId: "b".repeat(32), timeMs: timeMs + 4_999 })).toEqual(["a"]);
    expect(await told({ traceId: "c".repeat(32), timeMs: timeMs + 5_000 })).toEqual(["c"]);
    expect(await told({ traceId: "d".repeat(32), timeMs: timeMs + 1 })).toEqual(["d"]);
    expect(await told({ traceId: "e".repeat(32), durationMs: 4_000_000 })).toEqual(["d", "e"]);
  });
});

describe("the event loop's lag", () => {
  test("is how long after its time a timer was called", async () => {
    const clock = createSimClock(0);
    const lag = watchLoopLag(clock);
    expect(await valueOf(lag, "cardea_event_loop_lag_seconds_count")).toBe(0);
    clock.advance(1_000);
    expect(await valueOf(lag, "cardea_event_loop_lag_seconds_count")).toBe(4);
    expect(await valueOf(lag, "cardea_event_loop_lag_seconds_sum")).toBe(0);
    const buckets = await samplesOf(lag, "cardea_event_loop_lag_seconds_bucket");
    expect(buckets.map(({ labels, value }) => [labels["le"], value])[0]).toEqual(["0.001", 4]);
    expect(Object.keys(buckets[0]!.labels)).toEqual(["le"]);
  });

  test("falls into the bucket of its length", async () => {
    let nowMs = 0;
    const due: (() => void)[] = [];
    const lag = watchLoopLag({
      wallMs: () => nowMs,
      monotonicMs: () => nowMs,
      setTimer: (_delayMs, fire) => {
        due.push(fire);
        return { cancel: () => {} };
      },
    });
    for (const lateMs of [0, 7, 300, 9_000]) {
      nowMs += 250 + lateMs;
      due.shift()!();
    }
    const buckets = await samplesOf(lag, "cardea_event_loop_lag_seconds_bucket");
    const byBound = new Map(buckets.map(({ labels, value }) => [labels["le"], value]));
    expect(["0.005", "0.01", "0.25", "0.5", "2.5", "+Inf"].map((bound) => byBound.get(bound))).toEqual([
      1, 2, 2, 3, 3, 4,
    ]);
    expect(await valueOf(lag, "cardea_event_loop_lag_seconds_sum")).toBeCloseTo(9.307);
  });
});

function boundsOf(text: string): string[] {
  return readSamples(text, "istio_request_bytes_bucket").map(({ labels }) => labels["le"]!);
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

function exemplarsOf(text: string): string[] {
  return text.split("\n").filter((line) => line.includes(" # {"));
}
