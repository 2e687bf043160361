import { describe, expect, it } from "vitest";
import { CardeaError, type ErrorCode } from "../../../../src/core/errors.ts";
import { NO_TLS } from "../../../../src/observe/flow.ts";
import { permitEgress } from "../../../../src/proxy/authorize.ts";
import type { RequestFate } from "../../../../src/proxy/streams.ts";
import { KeptBodies } from "../../../../src/proxy/traffic/kept-body.ts";
import { OnceMore } from "../../../../src/proxy/traffic/once-more.ts";
import { type RequestPlan, RequestTries } from "../../../../src/proxy/traffic/request-tries.ts";
import type { TryFailure } from "../../../../src/proxy/tries.ts";
import { DEFAULT_RETRY, DEFAULT_TRAFFIC_POLICY } from "../../../../src/traffic/default-traffic.ts";
import type { RequestHead } from "../../../../src/wire/http1-head.ts";
import { WEB } from "../../../support/sample-flow.ts";
import { openBackend, seededRandom, type TestBackend } from "../../../support/traffic.ts";
import { retryOn } from "../../../support/traffic-mesh.ts";

function headOf(method: string, upgrade: string | null = null): RequestHead {
  return { method, upgrade, headers: [], path: "/", host: "orders" } as unknown as RequestHead;
}

function failureOf(test: TestBackend, method: string, code: ErrorCode, fate: RequestFate, port = 1): TryFailure {
  const member = test.memberAt(port);
  return {
    head: headOf(method),
    error: new CardeaError(code, ""),
    fate,
    permit: permitEgress(member.target),
    pair: { source: WEB, destination: member.peer, tls: NO_TLS },
  };
}

function openTries(test: TestBackend, changes: Partial<RequestPlan> = {}): RequestTries {
  const plan = {
    head: headOf("GET"),
    retry: DEFAULT_RETRY,
    route: null,
    timeoutMs: 0,
    isGrpc: false,
    deadlineMs: null,
  };
  const parts = { clock: test.clock, random: seededRandom(1), bodies: new KeptBodies() };
  return new RequestTries({ backend: test.backend, ...plan, ...changes }, parts);
}

describe("without a rule", () => {
  it.each([
    ["POST", "upstream-reset", "unprocessed"],
    ["POST", "upstream-connect-failed", "unprocessed"],
    ["GET", "upstream-reset", "stale"],
    ["PUT", "upstream-reset", "stale"],
  ] as const)("a %s that failed by %s (%s) goes once more, to another, at once", (method, code, fate) => {
    const test = openBackend({}, [1, 2]);
    const next = openTries(test, { head: headOf(method) }).afterFailure(failureOf(test, method, code, fate));
    expect(next).toMatchObject({ waitMs: 0, want: "any", pair: { destination: { workload: "orders-2" } } });
    expect(next!.permit.target).toBe(test.memberAt(2).target);
  });

  it.each([
    ["POST", "upstream-reset", "stale"],
    ["PATCH", "upstream-reset", "stale"],
    ["GET", "upstream-reset", "unknown"],
    ["GET", "upstream-timeout", "unknown"],
    ["GET", "upstream-protocol-error", "unknown"],
    ["GET", "peer-identity-mismatch", "unprocessed"],
    ["GET", "identity-not-ready", "unprocessed"],
    ["GET", "overloaded", "unprocessed"],
    ["GET", "certificate-ended", "unknown"],
  ] as const)("a %s that failed by %s (%s) has failed", (method, code, fate) => {
    const test = openBackend({}, [1, 2]);
    const tries = openTries(test, { head: headOf(method) });
    expect(tries.afterFailure(failureOf(test, method, code, fate))).toBeNull();
    expect(tries.seen).toEqual({ route: null, attempts: 1, retriedFor: null });
  });

  it("what was lost on the way goes once more even where the rule has no tries, and not twice", () => {
    const test = openBackend({}, [1]);
    const tries = openTries(test, { retry: retryOn([], { attempts: 0 }) });
    const failure = failureOf(test, "GET", "upstream-reset", "unprocessed");
    expect(tries.afterFailure(failure)).toMatchObject({ want: "fresh", waitMs: 0 });
    expect(tries.afterFailure(failure)).toBeNull();
  });
});

describe("a rule's tries", () => {
  it("are as many as it says, and the same workload is asked again after a wait", () => {
    const test = openBackend({}, [1]);
    const tries = openTries(test, { retry: retryOn(["connect-failure"], { attempts: 3 }) });
    const failure = failureOf(test, "POST", "upstream-connect-failed", "unprocessed");
    const waits = [1, 2, 3].map(() => tries.afterFailure(failure)!.waitMs);
    for (const wait of waits) expect(wait).toBeGreaterThan(0);
    expect(tries.afterFailure(failure)).toBeNull();
    expect(tries.seen).toEqual({ route: null, attempts: 4, retriedFor: "upstream-connect-failed" });
    tries.onDone();
    expect(test.backend.breaker.retries).toBe(0);
  });

  it("are none for what asks for another protocol", () => {
    const test = openBackend({}, [1, 2]);
    const tries = openTries(test, { head: headOf("GET", "websocket"), retry: retryOn(["reset"]) });
    expect(tries.afterFailure(failureOf(test, "GET", "upstream-reset", "unknown"))).toBeNull();
  });

  it("beyond maxRetries are refused, and told", () => {
    const connectionPool = { ...DEFAULT_TRAFFIC_POLICY.connectionPool, maxRetries: 1 };
    const test = openBackend({ connectionPool }, [1, 2]);
    const failure = failureOf(test, "GET", "upstream-connect-failed", "unprocessed");
    const first = openTries(test);
    expect(first.afterFailure(failure)).not.toBeNull();
    expect(openTries(test).afterFailure(failure)).toBeNull();
    first.onDone();
    expect(openTries(test).afterFailure(failure)).not.toBeNull();
    expect(test.told).toEqual(["retry", "overflow retries", "retry"]);
  });

  it("of what may have been served are refused beyond the budget", () => {
    const test = openBackend({}, [1, 2]);
    const failure = failureOf(test, "GET", "upstream-reset", "unknown");
    const retry = retryOn(["reset"]);
    const results = [1, 2, 3, 4].map(() => openTries(test, { retry }).afterFailure(failure) !== null);
    expect(results).toEqual([true, true, true, false]);
    test.active.set(2, 25);
    expect(openTries(test, { retry }).afterFailure(failure)).not.toBeNull();
  });
});

describe("towards our own app", () => {
  const test = openBackend({}, [1]);

  it("what it has not looked at goes once more, over a connection of its own", () => {
    const failure = failureOf(test, "POST", "upstream-reset", "unprocessed");
    const next = new OnceMore(new KeptBodies()).afterFailure(failure);
    expect(next).toMatchObject({ permit: failure.permit, pair: failure.pair, want: "fresh", waitMs: 0 });
    expect(next!.tries.afterFailure(failure)).toBeNull();
  });

  it.each([
    ["POST", "upstream-reset", "stale"],
    ["GET", "upstream-reset", "unknown"],
    ["GET", "upstream-connect-failed", "unprocessed"],
    ["GET", "upstream-protocol-error", "stale"],
  ] as const)("a %s that failed by %s (%s) has failed", (method, code, fate) => {
    expect(new OnceMore(null).afterFailure(failureOf(test, method, code, fate))).toBeNull();
  });
});
