import { describe, expect, test } from "vitest";
import { parseDuration, parseGatewayDuration } from "../../../src/core/duration.ts";

test.each([
  ["1h", 3_600_000],
  ["1m30s", 90_000],
  ["250ms", 250],
  ["0.5s", 500],
  ["0s", 0],
  ["1h0m0.001s", 3_600_001],
])("%s", (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

describe("is no duration", () => {
  test.each(["", "5", "-1s", "1 s", "1d", "s", "1s ", "1e3s", ".5s", "9".repeat(60) + "h"])("%j", (text) => {
    expect(() => parseDuration(text)).toThrow("expected a duration");
  });
  test.each(["1.5s", "100000ms", "1h1m1s1ms1s", "1us", ""])("to Gateway API: %j", (text) => {
    expect(() => parseGatewayDuration(text)).toThrow("expected a duration");
  });
});
