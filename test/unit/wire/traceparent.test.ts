import { describe, expect, test } from "vitest";
import { formatTraceparent, isTracestate, parseTraceparent } from "../../../src/wire/trace-context.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const VALID = `00-${TRACE}-${PARENT}-01`;

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

describe("a tracestate", () => {
  test.each([
    [["a=1"]],
    [["a=1,b=2"]],
    [["a=1", "b=2"]],
    [["a=1 , \tb=2,,"]],
    [[""]],
    [["a_-*/0@v=1"]],
    [["0tenant@vendor=1"]],
    // Level 2: a digit may be first, at signs stand anywhere else, and what stands twice stays.
    [["0=1"]],
    [["a@b@c=1"]],
    [["a@@0=1"]],
    [["a@=1"]],
    [["a=1,a=2"]],
    [["a=1", "a=2"]],
    [[`${"a".repeat(256)}=${"1".repeat(256)}`]],
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
    [["@a=1"]],
    [["_a=1"]],
    [["a.b=1"]],
    [["a=1=2"]],
    [["a b=1"]],
    [["a=\xe9"]],
    [[`${"a".repeat(257)}=1`]],
    [[`a=${"1".repeat(257)}`]],
    [[",".repeat(20_000)]],
    [[Array.from({ length: 33 }, (_, i) => `k${i}=v`).join(",")]],
  ])("%j is not", (values) => {
    expect(isTracestate(values)).toBe(false);
  });
});
