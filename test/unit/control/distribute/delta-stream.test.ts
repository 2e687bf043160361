import { beforeEach, describe, expect, test } from "vitest";
import type { DeltaDiscoveryResponse } from "../../../../src/api/generated/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts";
import { ADDRESS_TYPE, POLICY_SET_TYPE, POLICY_TYPE } from "../../../../src/api/resource-types.ts";
import { createDeltaStream, type DeltaStream } from "../../../../src/control/distribute/delta-stream.ts";
import type { ResourceView } from "../../../../src/control/distribute/resource.ts";
import type { Answer } from "../../../../src/control/distribute/subscription.ts";
import type { CardeaError } from "../../../../src/core/errors.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";
import { requestOf, viewOf } from "./resources.ts";

let clock: SimulatedClock;
let view: ResourceView;
let views: number;
let sent: DeltaDiscoveryResponse[];
let answers: [string, Answer][];
let subscribed: [string, number][];
let unknown: string[];
let converged: number[];
let failures: CardeaError[];
let stream: DeltaStream;

beforeEach(() => {
  clock = createSimulatedClock(0);
  view = revision("1", { a: "a1" });
  [views, sent, answers, subscribed, unknown, failures, converged] = [0, [], [], [], [], [], []];
  stream = createDeltaStream({
    view() {
      views += 1;
      return view;
    },
    send: (response) => sent.push(response),
    fail: (error) => failures.push(error),
    onSubscribe: (...call) => subscribed.push(call),
    onAnswer: (...call) => answers.push(call),
    onUnknownType: (typeUrl) => unknown.push(typeUrl),
    onConverged: (afterMs) => converged.push(afterMs),
    clock,
  });
});

describe("policies and sets take turns", () => {
  test("a set is sent when its policies are answered", async () => {
    await subscribe(POLICY_SET_TYPE, POLICY_TYPE);
    expect(typesSent()).toEqual([POLICY_TYPE]);
    await ack(POLICY_TYPE, "1");
    expect(typesSent()).toEqual([POLICY_TYPE, POLICY_SET_TYPE]);
  });

  test("a new revision waits while the client is at work on a set, which needs its policies", async () => {
    await subscribe(POLICY_TYPE, POLICY_SET_TYPE);
    await ack(POLICY_TYPE, "1");
    for (const version of ["2", "3"]) {
      view = revision(version, { a: `a${version}` });
      stream.push(clock.monotonicMs());
      await settle();
    }
    expect(typesSent()).toEqual([POLICY_TYPE, POLICY_SET_TYPE]);
    await ack(POLICY_SET_TYPE, "1");
    expect(sent.at(-1)).toMatchObject({ typeUrl: POLICY_TYPE, resources: [{ version: "a3" }] });
  });

  test("a set does not follow policies that were refused", async () => {
    await subscribe(POLICY_TYPE, POLICY_SET_TYPE);
    await nack(POLICY_TYPE, "1");
    expect(typesSent()).toEqual([POLICY_TYPE]);
    view = revision("2", {});
    stream.push(clock.monotonicMs());
    await settle();
    await ack(POLICY_TYPE, "2");
    expect(typesSent()).toEqual([POLICY_TYPE, POLICY_TYPE, POLICY_SET_TYPE]);
  });

  test("a refused set does not hold back the next policies", async () => {
    await subscribe(POLICY_TYPE, POLICY_SET_TYPE);
    await ack(POLICY_TYPE, "1");
    await nack(POLICY_SET_TYPE, "1");
    view = revision("2", { a: "a2" });
    stream.push(clock.monotonicMs());
    await settle();
    expect(typesSent()).toEqual([POLICY_TYPE, POLICY_SET_TYPE, POLICY_TYPE]);
  });

  test("a client that wants sets alone is not made to wait for policies", async () => {
    await subscribe(POLICY_SET_TYPE);
    expect(typesSent()).toEqual([POLICY_SET_TYPE]);
  });

  test("addresses wait for neither", async () => {
    await subscribe(POLICY_TYPE, ADDRESS_TYPE);
    expect(typesSent()).toEqual([ADDRESS_TYPE, POLICY_TYPE]);
  });
});

describe("nothing is sent", () => {
  test("of a type before it is there, for there is no set without a good revision", async () => {
    view = new Map([[ADDRESS_TYPE, viewOf("1", {})]]);
    await subscribe(POLICY_TYPE, POLICY_SET_TYPE);
    expect(sent).toEqual([]);
    view = revision("1", {});
    stream.push(clock.monotonicMs());
    await settle();
    expect(typesSent()).toEqual([POLICY_TYPE]);
  });

  test("for a type that is not served; it is told once", async () => {
    await subscribe("t1");
    await subscribe("t2");
    expect(sent).toEqual([]);
    expect(unknown).toEqual(["t1"]);
  });

  test("after the stream was closed, not even what was on its way", async () => {
    stream.receive(requestOf({ typeUrl: ADDRESS_TYPE }));
    stream.close();
    stream.receive(requestOf({ typeUrl: POLICY_TYPE }));
    stream.push(clock.monotonicMs());
    await settle();
    expect(sent).toEqual([]);
    expect(clock.timers).toBe(0);
  });
});

test("any number of requests and changes of one turn make one comparison", async () => {
  stream.receive(requestOf({ typeUrl: ADDRESS_TYPE }));
  for (let each = 0; each < 100; each += 1) stream.push(clock.monotonicMs());
  stream.receive(requestOf({ typeUrl: POLICY_TYPE }));
  await settle();
  expect(views).toBe(1);
});

test("answers and subscriptions are told", async () => {
  stream.receive(requestOf({ typeUrl: POLICY_SET_TYPE, initialResourceVersions: { mesh: "old" } }));
  await settle();
  await ack(POLICY_SET_TYPE, "1");
  expect(subscribed).toEqual([[POLICY_SET_TYPE, 1]]);
  expect(answers).toEqual([[POLICY_SET_TYPE, { version: "1", error: null }]]);
});

describe("a client has caught up with a change", () => {
  beforeEach(async () => {
    await subscribe(ADDRESS_TYPE, POLICY_TYPE, POLICY_SET_TYPE);
    for (const type of [ADDRESS_TYPE, POLICY_TYPE, POLICY_SET_TYPE]) await ack(type, "1");
    expect(converged).toEqual([]);
  });

  test("when its last part is acknowledged", async () => {
    await change("2", { a: "a2" });
    await clock.advance(30);
    await ack(POLICY_TYPE, "2");
    await clock.advance(12);
    await ack(POLICY_SET_TYPE, "2");
    expect(converged).toEqual([42]);
  });

  test("counted from the first of several changes", async () => {
    await change("2", { a: "a2" });
    await clock.advance(10);
    await change("3", { a: "a3" });
    await clock.advance(10);
    for (const [type, nonce] of [
      [POLICY_TYPE, "2"],
      [POLICY_TYPE, "3"],
      [POLICY_SET_TYPE, "2"],
    ] as const)
      await ack(type, nonce);
    expect(converged).toEqual([20]);
  });

  test("not when the change does not concern it, nor with a later one from then on", async () => {
    stream.push(clock.monotonicMs());
    await settle();
    await clock.advance(1_000);
    await change("2", { a: "a2" });
    await clock.advance(5);
    await ack(POLICY_TYPE, "2");
    await ack(POLICY_SET_TYPE, "2");
    expect(converged).toEqual([5]);
  });

  test("not when it refuses any part, but with the next that it takes", async () => {
    await change("2", { a: "a2" });
    await nack(POLICY_TYPE, "2");
    expect(converged).toEqual([]);
    await clock.advance(1_000);
    await change("3", { a: "a3" });
    await clock.advance(7);
    await ack(POLICY_TYPE, "3");
    await ack(POLICY_SET_TYPE, "2");
    expect(converged).toEqual([7]);
  });
});

describe("the stream is ended", () => {
  test("when a response is not answered in time", async () => {
    await subscribe(ADDRESS_TYPE);
    await clock.advance(LIMITS.discoveryAnswerTimeoutMs - 1);
    expect(failures).toEqual([]);
    await clock.advance(1);
    expect(failures).toMatchObject([{ code: "request-timeout" }]);
  });

  test("when one type is answered again and again and the other never", async () => {
    await subscribe(ADDRESS_TYPE, POLICY_TYPE);
    await clock.advance(LIMITS.discoveryAnswerTimeoutMs - 1);
    await ack(ADDRESS_TYPE, "1");
    await clock.advance(1);
    expect(failures).toMatchObject([{ code: "request-timeout" }]);
  });

  test("when it asks for too much", () => {
    const resourceNamesSubscribe = Array.from({ length: LIMITS.discoveryNamesMax + 1 }, (_, index) => `n${index}`);
    stream.receive(requestOf({ typeUrl: ADDRESS_TYPE, resourceNamesSubscribe }));
    expect(failures).toMatchObject([{ code: "overloaded" }]);
  });

  test("not when answers come in time, however long it lasts", async () => {
    await subscribe(ADDRESS_TYPE);
    await ack(ADDRESS_TYPE, "1");
    await clock.advance(LIMITS.discoveryAnswerTimeoutMs * 10);
    expect(failures).toEqual([]);
  });
});

async function change(version: string, policies: Readonly<Record<string, string>>): Promise<void> {
  view = revision(version, policies);
  stream.push(clock.monotonicMs());
  await settle();
}

function revision(version: string, policies: Readonly<Record<string, string>>): ResourceView {
  return new Map([
    [ADDRESS_TYPE, viewOf("1", { w: "1" })],
    [POLICY_TYPE, viewOf(version, policies)],
    [POLICY_SET_TYPE, viewOf(version, { mesh: version })],
  ]);
}

async function subscribe(...types: readonly string[]): Promise<void> {
  for (const typeUrl of types) stream.receive(requestOf({ typeUrl }));
  await settle();
}

async function ack(typeUrl: string, responseNonce: string): Promise<void> {
  stream.receive(requestOf({ typeUrl, responseNonce }));
  await settle();
}

async function nack(typeUrl: string, responseNonce: string): Promise<void> {
  stream.receive(requestOf({ typeUrl, responseNonce, errorDetail: { code: 3, message: "no" } }));
  await settle();
}

function typesSent(): (string | undefined)[] {
  return sent.map((response) => response.typeUrl);
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
