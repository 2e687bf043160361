import { describe, expect, test } from "vitest";
import {
  formatTraceparent,
  isTracestate,
  parseTraceparent,
  type TraceIds,
  traceThrough,
} from "../../../src/wire/traceparent.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const OWN_TRACE = "0af7651916cd43dd8448eb211c80319c";
const OWN_SPAN = "b7ad6b7169203331";
const VALID = `00-${TRACE}-${PARENT}-01`;

const ids: TraceIds = { traceId: () => OWN_TRACE, spanId: () => OWN_SPAN };

describe("a traceparent is parsed", () => {
  test.each([
    ["version 00", VALID, 1],
    ["not sampled", `00-${TRACE}-${PARENT}-00`, 0],
    ["with a random trace id", `00-${TRACE}-${PARENT}-03`, 3],
    ["without the flags that nobody knows", `00-${TRACE}-${PARENT}-ff`, 3],
    ["a version to come", `cc-${TRACE}-${PARENT}-01`, 1],
    ["a version to come with more fields", `cc-${TRACE}-${PARENT}-01-what-the-future-will-be`, 1],
  ])("%s", (_, value, flags) => {
    expect(parseTraceparent(value)).toEqual({ traceId: TRACE, parentId: PARENT, flags });
  });

  test("and written in version 00", () => {
    expect(formatTraceparent({ traceId: TRACE, parentId: PARENT, flags: 1 })).toBe(VALID);
  });
});

describe("a traceparent is not valid", () => {
  test.each([
    ["empty", ""],
    ["in capitals", VALID.toUpperCase()],
    ["of version ff", `ff-${TRACE}-${PARENT}-01`],
    ["version 00 with more fields", `${VALID}-01`],
    ["version 00 with a dash behind it", `${VALID}-`],
    ["a version to come with text behind it", `cc-${TRACE}-${PARENT}-01.x`],
    ["a trace id of zeros", `00-${"0".repeat(32)}-${PARENT}-01`],
    ["a parent id of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["too short a trace id", `00-${TRACE.slice(1)}-${PARENT}-01`],
    ["too long a parent id", `00-${TRACE}-${PARENT}0-01`],
    ["one digit of flags", `00-${TRACE}-${PARENT}-1`],
    ["no hexadecimal digits", `00-${TRACE.slice(1)}g-${PARENT}-01`],
    ["no hexadecimal digits in the version", `0g-${TRACE}-${PARENT}-01`],
    ["no hexadecimal digits in the parent id", `00-${TRACE}-${PARENT.slice(1)}:-01`],
    ["no hexadecimal digits in the flags", `00-${TRACE}-${PARENT}-0/`],
    ["another sign for the first dash", `00_${TRACE}-${PARENT}-01`],
    ["another sign for the second dash", `00-${TRACE}0${PARENT}-01`],
    ["another sign for the third dash", `00-${TRACE}-${PARENT}001`],
    ["a space before it", ` ${VALID}`],
  ])("%s", (_, value) => {
    expect(parseTraceparent(value)).toBeNull();
  });
});

describe("a trace goes through", () => {
  test("continued, with our span as the next parent, in place", () => {
    const headers = ["Host", "a", "TraceParent", VALID, "tracestate", "a=1,b=2", "X", "y"];
    expect(traceThrough(headers, ids)).toEqual({ traceId: TRACE, spanId: OWN_SPAN, parentId: PARENT, isSampled: true });
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
    const headers = ["tracestate", "a=1", "traceparent", VALID, "tracestate", "a=2"];
    expect(traceThrough(headers, ids).parentId).toBe(PARENT);
    expect(headers).toEqual(["traceparent", `00-${TRACE}-${OWN_SPAN}-01`]);
  });
});

describe("a tracestate", () => {
  test.each([
    [["a=1"]],
    [["a=1,b=2"]],
    [["a=1", "b=2"]],
    [["a=1 , \tb=2,,"]],
    [[""]],
    [["a_-*/0@v=1"]],
    [["0tenant@vendor=1"]],
    [["a= 1 2"]],
    [[Array.from({ length: 32 }, (_, i) => `k${i}=v`).join(",")]],
  ])("%j is valid", (values) => {
    expect(isTracestate(values)).toBe(true);
  });

  test.each([
    [["a"]],
    [["a="]],
    [["=1"]],
    [["A=1"]],
    [["0=1"]],
    [["a=1=2"]],
    [["a=1,a=2"]],
    [["a=1", "a=2"]],
    [["a b=1"]],
    [["a=\xe9"]],
    [["a@b@c=1"]],
    [["a@0=1"]],
    [[`${"a".repeat(257)}=1`]],
    [[`a=${"1".repeat(257)}`]],
    [[",".repeat(20_000)]],
    [[Array.from({ length: 33 }, (_, i) => `k${i}=v`).join(",")]],
  ])("%j is not", (values) => {
    expect(isTracestate(values)).toBe(false);
  });
});
