import { describe, expect, it } from "vitest";
import { CardeaError } from "../../../../src/core/errors.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { formatGrpcTimeout, parseGrpcTimeout } from "../../../../src/proxy/traffic/grpc-timeout.ts";
import { KeptBodies } from "../../../../src/proxy/traffic/kept-body.ts";
import { asksAfterAnswer, asksAfterFailure } from "../../../../src/proxy/traffic/retry-conditions.ts";
import { retryOn } from "../../../support/traffic-mesh.ts";

describe("a rule asks for another try after a failure", () => {
  it.each([
    [["connect-failure"], "upstream-connect-failed", "unprocessed", true],
    [["connect-failure"], "upstream-connect-timeout", "unprocessed", true],
    [["reset-before-request"], "upstream-connect-failed", "unprocessed", true],
    [["refused-stream"], "upstream-reset", "unprocessed", true],
    [["reset"], "upstream-reset", "unknown", true],
    [["5xx"], "upstream-timeout", "unknown", true],
    [["gateway-error"], "upstream-protocol-error", "unknown", true],
    [["refused-stream"], "upstream-reset", "unknown", false],
    [["refused-stream"], "upstream-connect-failed", "unprocessed", false],
    [["connect-failure"], "upstream-reset", "unknown", false],
    [["reset-before-request"], "upstream-reset", "unknown", false],
    [["retriable-status-codes", "unavailable"], "upstream-reset", "unknown", false],
    [["5xx", "reset", "connect-failure"], "peer-identity-mismatch", "unprocessed", false],
    [["5xx", "reset", "connect-failure"], "identity-not-ready", "unprocessed", false],
    [["5xx", "reset", "connect-failure"], "overloaded", "unprocessed", false],
    [["5xx", "reset", "connect-failure"], "upstream-overflow", "unprocessed", false],
    [["5xx", "reset", "connect-failure"], "certificate-ended", "unknown", false],
    [[], "upstream-connect-failed", "unprocessed", false],
  ] as const)("%j, %s (%s): %s", (conditions, code, fate, expected) => {
    const error = new CardeaError(code, "");
    expect(asksAfterFailure(retryOn(conditions), { error, fate })).toBe(expected);
  });
});

describe("a rule asks for another try after an answer", () => {
  it.each([
    [["5xx"], 500, null, true],
    [["gateway-error"], 503, null, true],
    [["retriable-4xx"], 409, null, true],
    [["retriable-status-codes"], 429, null, true],
    [["unavailable"], 200, 14, true],
    [["cancelled"], 200, 1, true],
    [["deadline-exceeded"], 200, 4, true],
    [["resource-exhausted"], 200, 8, true],
    [["internal"], 200, 13, true],
    [["5xx"], 499, null, false],
    [["gateway-error"], 500, null, false],
    [["gateway-error"], 505, null, false],
    [["retriable-4xx"], 404, null, false],
    [["retriable-status-codes"], 503, null, false],
    [["unavailable"], 200, 13, false],
    [["unavailable"], 503, null, false],
    [["internal", "unavailable"], 200, 0, false],
    [["5xx"], 200, 14, false],
    [["reset", "connect-failure"], 503, null, false],
  ] as const)("%j, %d and gRPC's %s: %s", (conditions, status, grpc, expected) => {
    const policy = retryOn(conditions, { retriableStatuses: new Set([429]) });
    expect(asksAfterAnswer(policy, status, grpc)).toBe(expected);
  });
});

describe("bodies that are kept", () => {
  const half = Buffer.alloc(LIMITS.retryBodyBytesMax / 2, "x");

  it("are all there up to the limit, in order, and again", () => {
    const bodies = new KeptBodies();
    const body = bodies.open();
    body.keep(Buffer.from("one"));
    body.keep(Buffer.from("two"));
    expect(Buffer.concat(body.pieces()).toString()).toBe("onetwo");
    expect(Buffer.concat(body.pieces()).toString()).toBe("onetwo");
    expect(bodies.heldBytes).toBe(6);
  });

  it("are let go whole beyond it, and nothing more is kept", () => {
    const bodies = new KeptBodies();
    const body = bodies.open();
    for (const piece of [half, half, Buffer.from("x")]) body.keep(piece);
    body.keep(Buffer.from("later"));
    expect(body.isWhole).toBe(false);
    expect(body.pieces()).toEqual([]);
    expect(bodies.heldBytes).toBe(0);
  });

  it("of all requests together are bounded, and room comes back", () => {
    const bodies = new KeptBodies();
    const count = LIMITS.retryBodiesBytesMax / half.length;
    const open = Array.from({ length: count + 1 }, () => bodies.open());
    for (const body of open) body.keep(half);
    expect(open.filter((body) => body.isWhole)).toHaveLength(count);
    for (const body of open) body.drop();
    for (const body of open) body.drop();
    expect(bodies.heldBytes).toBe(0);
  });
});

describe("grpc-timeout", () => {
  it.each([
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3_000],
    ["250m", 250],
    ["5000u", 5],
    ["1000000n", 1],
  ])("%s is %d ms", (text, ms) => expect(parseGrpcTimeout(text)).toBeCloseTo(ms));

  it.each(["", "1", "S", "1s", "-1S", "1.5S", "123456789S", "1 S", "1SS"])("%j is none", (text) => {
    expect(parseGrpcTimeout(text)).toBeNull();
  });

  it.each([
    [250, "250m"],
    [0.2, "1m"],
    [-5, "1m"],
    [1_499.9, "1499m"],
    [100_000_000, "100000S"],
  ])("%d ms is written %s", (ms, text) => expect(formatGrpcTimeout(ms)).toBe(text));
});
