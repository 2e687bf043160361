import { describe, expect, test } from "vitest";
import { nextSpan, type TraceIds, traceThrough } from "../../../src/wire/trace-context.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const OWN_TRACE = "0af7651916cd43dd8448eb211c80319c";
const OWN_SPAN = "b7ad6b7169203331";
const VALID = `00-${TRACE}-${PARENT}-01`;
const SHORT = TRACE.slice(16);

const ids: TraceIds = { traceId: () => OWN_TRACE, spanId: () => OWN_SPAN, isSampled: () => false };
const samplingIds: TraceIds = { ...ids, isSampled: () => true };

describe("a trace goes through", () => {
  test("continued, with our span as the next parent, in place", () => {
    const headers = ["Host", "a", "TraceParent", VALID, "tracestate", "a=1,b=2", "X", "y"];
    expect(traceThrough(headers, ids)).toEqual({
      traceId: TRACE,
      spanId: OWN_SPAN,
      parentId: PARENT,
      isSampled: true,
      decidedBy: "caller",
    });
    expect(headers).toEqual([
      "Host",
      "a",
      "TraceParent",
      `00-${TRACE}-${OWN_SPAN}-01`,
      "tracestate",
      "a=1,b=2",
      "X",
      "y",
    ]);
  });

  test("rewritten in version 00 when it is of a version to come", () => {
    const headers = ["traceparent", `cc-${TRACE}-${PARENT}-0b-future`];
    traceThrough(headers, ids);
    expect(headers).toEqual(["traceparent", `00-${TRACE}-${OWN_SPAN}-03`]);
  });

  test("begun when there is none, and not sampled", () => {
    const headers = ["Host", "a"];
    expect(traceThrough(headers, ids)).toEqual({
      traceId: OWN_TRACE,
      spanId: OWN_SPAN,
      parentId: null,
      isSampled: false,
      decidedBy: "here",
    });
    expect(headers).toEqual(["Host", "a", "traceparent", `00-${OWN_TRACE}-${OWN_SPAN}-02`]);
  });

  test.each([
    ["not valid", ["traceparent", "00-x"]],
    ["doubled", ["traceparent", VALID, "Traceparent", VALID]],
    ["missing", []],
  ])("begun anew when it is %s, and the state that belonged to it goes", (_, received) => {
    const headers = [...received, "X", "y", "TraceState", "a=1"];
    expect(traceThrough(headers, ids).parentId).toBeNull();
    expect(headers).toEqual(["X", "y", "traceparent", `00-${OWN_TRACE}-${OWN_SPAN}-02`]);
  });

  test("without a state that is not valid", () => {
    const headers = ["tracestate", "a=1", "traceparent", VALID, "tracestate", "A=2"];
    expect(traceThrough(headers, ids).parentId).toBe(PARENT);
    expect(headers).toEqual(["traceparent", `00-${TRACE}-${OWN_SPAN}-01`]);
  });
});

describe("a trace that begins here", () => {
  test("is sampled as it is decided here, by its id", () => {
    const headers: string[] = [];
    const seen: string[] = [];
    const trace = traceThrough(headers, { ...ids, isSampled: (traceId) => seen.push(traceId) > 0 });
    expect(trace).toMatchObject({ isSampled: true, decidedBy: "here" });
    expect(seen).toEqual([OWN_TRACE]);
    expect(headers).toEqual(["traceparent", `00-${OWN_TRACE}-${OWN_SPAN}-03`]);
  });

  test("is not decided again where the caller has decided", () => {
    const headers = ["traceparent", `00-${TRACE}-${PARENT}-00`];
    expect(traceThrough(headers, samplingIds)).toMatchObject({ isSampled: false, decidedBy: "caller" });
    expect(headers[1]).toBe(`00-${TRACE}-${OWN_SPAN}-00`);
  });
});

describe("B3 goes on in the form in which it came, and in no other", () => {
  test.each([
    ["one field", `${TRACE}-${PARENT}-1`, `${TRACE}-${OWN_SPAN}-1-${PARENT}`, true],
    ["with a parent", `${TRACE}-${PARENT}-1-${OWN_SPAN}`, `${TRACE}-${OWN_SPAN}-1-${PARENT}`, true],
    ["not sampled", `${TRACE}-${PARENT}-0`, `${TRACE}-${OWN_SPAN}-0-${PARENT}`, false],
    ["debug", `${TRACE}-${PARENT}-d`, `${TRACE}-${OWN_SPAN}-d-${PARENT}`, true],
    ["a trace id of 64 bits", `${SHORT}-${PARENT}-1`, `${SHORT}-${OWN_SPAN}-1-${PARENT}`, true],
    ["in capitals", `${TRACE.toUpperCase()}-${PARENT.toUpperCase()}-1`, `${TRACE}-${OWN_SPAN}-1-${PARENT}`, true],
  ])("%s", (_, came, went, isSampled) => {
    const headers = ["X", "y", "B3", came];
    const trace = traceThrough(headers, ids);
    expect(trace).toMatchObject({ spanId: OWN_SPAN, parentId: PARENT, isSampled, decidedBy: "caller" });
    expect(trace.traceId.endsWith(SHORT)).toBe(true);
    expect(trace.traceId).toHaveLength(32);
    expect(headers).toEqual(["X", "y", "b3", went]);
  });

  test.each([
    ["0", false],
    ["1", true],
    ["d", true],
  ])("a decision alone, %s, holds for the trace that begins", (came, isSampled) => {
    const headers = ["b3", came];
    expect(traceThrough(headers, ids)).toMatchObject({ parentId: null, isSampled, decidedBy: "caller" });
    expect(headers).toEqual(["b3", `${OWN_TRACE}-${OWN_SPAN}-${came}`]);
  });

  test("what it leaves open is decided here, by the trace's id", () => {
    const headers = ["b3", `${TRACE}-${PARENT}`];
    expect(traceThrough(headers, samplingIds)).toMatchObject({ traceId: TRACE, isSampled: true, decidedBy: "here" });
    expect(headers).toEqual(["b3", `${TRACE}-${OWN_SPAN}-1-${PARENT}`]);
  });

  test.each([
    ["sampled", ["X-B3-Sampled", "1"], ["x-b3-sampled", "1"], true],
    ["as it was said once", ["X-B3-Sampled", "true"], ["x-b3-sampled", "1"], true],
    ["not sampled", ["X-B3-Sampled", "0"], ["x-b3-sampled", "0"], false],
    ["debug, which says sampled as well", ["X-B3-Flags", "1", "X-B3-Sampled", "0"], ["x-b3-flags", "1"], true],
    ["undecided", [], ["x-b3-sampled", "0"], false],
    ["with a word that means nothing", ["X-B3-Sampled", "yes"], ["x-b3-sampled", "0"], false],
  ])("many fields, %s", (_, came, went, isSampled) => {
    const headers = ["X-B3-TraceId", SHORT, "X", "y", "X-B3-SpanId", PARENT, "X-B3-ParentSpanId", OWN_SPAN, ...came];
    expect(traceThrough(headers, ids)).toMatchObject({ traceId: SHORT.padStart(32, "0"), parentId: PARENT, isSampled });
    const ours = ["x-b3-traceid", SHORT, "x-b3-spanid", OWN_SPAN, "x-b3-parentspanid", PARENT];
    expect(headers).toEqual(["X", "y", ...ours, ...went]);
  });

  test("many fields may hold a decision alone", () => {
    const headers = ["X-B3-Sampled", "0"];
    expect(traceThrough(headers, samplingIds)).toMatchObject({ parentId: null, isSampled: false, decidedBy: "caller" });
    expect(headers).toEqual(["x-b3-traceid", OWN_TRACE, "x-b3-spanid", OWN_SPAN, "x-b3-sampled", "0"]);
  });

  test.each([
    ["empty", ""],
    ["another word", "x"],
    ["a trace id of zeros", `${"0".repeat(32)}-${PARENT}-1`],
    ["a span id of zeros", `${TRACE}-${"0".repeat(16)}-1`],
    ["24 digits", `${TRACE.slice(8)}-${PARENT}-1`],
    ["no hexadecimal digits", `${TRACE.slice(1)}g-${PARENT}-1`],
    ["more behind it", `${TRACE}-${PARENT}-1-${PARENT}-1`],
    ["a decision that is none", `${TRACE}-${PARENT}-2`],
    ["a space before it", ` ${TRACE}-${PARENT}-1`],
  ])("one field that is not valid begins a trace anew: %s", (_, came) => {
    const headers = ["b3", came];
    expect(traceThrough(headers, ids)).toMatchObject({ traceId: OWN_TRACE, parentId: null, decidedBy: "here" });
    expect(headers).toEqual(["b3", `${OWN_TRACE}-${OWN_SPAN}-0`]);
  });

  test.each([
    ["no span id", ["X-B3-TraceId", TRACE, "X-B3-Sampled", "1"]],
    ["a doubled trace id", ["X-B3-TraceId", TRACE, "X-B3-TraceId", TRACE, "X-B3-SpanId", PARENT, "X-B3-Sampled", "1"]],
    ["a trace id that is none", ["X-B3-TraceId", "x", "X-B3-SpanId", PARENT, "X-B3-Sampled", "1"]],
    ["a span id of zeros", ["X-B3-TraceId", TRACE, "X-B3-SpanId", "0".repeat(16), "X-B3-Sampled", "1"]],
  ])("many fields that are not valid begin a trace anew: %s", (_, headers) => {
    expect(traceThrough(headers, ids)).toMatchObject({ traceId: OWN_TRACE, parentId: null, isSampled: false });
    expect(headers).toEqual(["x-b3-traceid", OWN_TRACE, "x-b3-spanid", OWN_SPAN, "x-b3-sampled", "0"]);
  });
});

describe("of several forms", () => {
  const OTHER = "f".repeat(32);

  test("the traceparent counts, and the others say the same from there on", () => {
    const headers = ["b3", `${OTHER}-${PARENT}-0`, "traceparent", VALID, "x-b3-sampled", "0", "tracestate", "a=1"];
    expect(traceThrough(headers, ids)).toMatchObject({ traceId: TRACE, isSampled: true });
    expect(headers).toEqual(
      [
        ["traceparent", `00-${TRACE}-${OWN_SPAN}-01`, "tracestate", "a=1"],
        ["b3", `${TRACE}-${OWN_SPAN}-1-${PARENT}`],
        ["x-b3-traceid", TRACE, "x-b3-spanid", OWN_SPAN, "x-b3-parentspanid", PARENT, "x-b3-sampled", "1"],
      ].flat(),
    );
  });

  test("one field of B3 counts above many", () => {
    const headers = ["x-b3-traceid", OTHER, "x-b3-spanid", PARENT, "b3", `${TRACE}-${PARENT}-1`];
    expect(traceThrough(headers, ids)).toMatchObject({ traceId: TRACE, isSampled: true });
  });

  test("a traceparent that is not valid takes its state with it, and says what B3 says", () => {
    const headers = ["traceparent", "00-x", "tracestate", "a=1", "b3", `${TRACE}-${PARENT}-1`];
    expect(traceThrough(headers, ids)).toMatchObject({ traceId: TRACE, parentId: PARENT });
    expect(headers).toEqual(
      [
        ["traceparent", `00-${TRACE}-${OWN_SPAN}-01`],
        ["b3", `${TRACE}-${OWN_SPAN}-1-${PARENT}`],
      ].flat(),
    );
  });

  test("a state without its traceparent goes", () => {
    const headers = ["tracestate", "a=1", "b3", `${TRACE}-${PARENT}-1`];
    traceThrough(headers, ids);
    expect(headers).toEqual(["b3", `${TRACE}-${OWN_SPAN}-1-${PARENT}`]);
  });
});

test("a request that is sent again gets another span in all forms, and nothing else changes", () => {
  const headers = ["traceparent", VALID, "tracestate", "a=1", "b3", "1", "x-b3-sampled", "1", "X", OWN_SPAN];
  const first = traceThrough(headers, ids);
  const before = [...headers];
  const second = nextSpan(headers, first, "1111111111111111");
  expect(second).toEqual({ ...first, spanId: "1111111111111111" });
  const changed = headers.flatMap((value, i) => (value === before[i] ? [] : [headers[i - 1]]));
  expect(changed).toEqual(["traceparent", "b3", "x-b3-spanid"]);
  expect(headers.join(" ").split(OWN_SPAN)).toHaveLength(2);
  expect(headers.join(" ").split("1111111111111111")).toHaveLength(4);
});
