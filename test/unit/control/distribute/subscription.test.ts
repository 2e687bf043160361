import { describe, expect, test } from "vitest";
import type { DeltaDiscoveryRequest__Output } from "../../../../src/api/generated/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import type { TypeView } from "../../../../src/control/distribute/resource.ts";
import { createSubscription, type Subscription } from "../../../../src/control/distribute/subscription.ts";
import { requestOf, viewOf } from "./resources.ts";

const AB = viewOf("1", { a: "a1", b: "b1" });

describe("the first response", () => {
  test.each([
    ["to a request that names nothing", {}, ["a", "b"], []],
    ["to the wildcard", { resourceNamesSubscribe: ["*"] }, ["a", "b"], []],
    ["to one name", { resourceNamesSubscribe: ["a"] }, ["a"], []],
    ["to a name that does not exist", { resourceNamesSubscribe: ["x"] }, [], ["x"]],
    ["to a wildcard and a name that does not exist", { resourceNamesSubscribe: ["*", "x"] }, ["a", "b"], ["x"]],
    ["to a client that has some of it", { initialResourceVersions: { a: "a1" } }, ["b"], []],
    ["to a client that has it all", { initialResourceVersions: { a: "a1", b: "b1" } }, [], []],
    ["to a client with an old version", { initialResourceVersions: { a: "a0", b: "b1" } }, ["a"], []],
    ["to a client with something that is gone", { initialResourceVersions: { a: "a1", x: "x1" } }, ["b"], ["x"]],
    [
      "to a client that has what it asks for by name",
      { resourceNamesSubscribe: ["a"], initialResourceVersions: { a: "a1" } },
      ["a"],
      [],
    ],
  ])("%s", (_name, request, sent, removed) => {
    const subscription = createSubscription("t");
    subscription.receive(requestOf(request));
    expect(summary(subscription, AB)).toEqual({ sent, removed });
  });

  test("comes even when there is nothing, and once", () => {
    const subscription = createSubscription("t");
    subscription.receive(requestOf());
    expect(summary(subscription, viewOf("1", {}))).toEqual({ sent: [], removed: [] });
    subscription.receive(ackOf("1"));
    expect(subscription.next(viewOf("1", {}))).toBeNull();
  });
});

describe("nothing is sent", () => {
  test("before a request", () => {
    expect(createSubscription("t").next(AB)).toBeNull();
  });

  test("while an answer is out, however much changes; then the newest alone", () => {
    const subscription = subscribed(AB);
    expect(subscription.next(viewOf("2", { a: "a2", b: "b1" }))).toBeNull();
    expect(subscription.next(viewOf("3", { a: "a3", b: "b1" }))).toBeNull();
    subscription.receive(ackOf("1"));
    expect(subscription.next(viewOf("3", { a: "a3", b: "b1" }))).toMatchObject({
      systemVersionInfo: "3",
      resources: [{ name: "a", version: "a3" }],
    });
  });

  test.each([
    ["to an answer without nonce", ""],
    ["to an answer with a nonce of the future", "2"],
    ["to an answer with another stream's nonce", "1x"],
  ])("%s", (_name, responseNonce) => {
    const subscription = subscribed(AB);
    expect(subscription.receive(requestOf({ responseNonce }))).toBeNull();
    expect(subscription.isAwaitingAnswer).toBe(true);
    expect(subscription.next(viewOf("2", { a: "a2", b: "b1" }))).toBeNull();
  });

  test("when a response is answered twice", () => {
    const subscription = subscribed(AB);
    subscription.receive(ackOf("1"));
    expect(subscription.receive(ackOf("1"))).toBeNull();
    expect(subscription.next(AB)).toBeNull();
  });

  test("of a name that was not asked for", () => {
    const subscription = subscribed(AB, { resourceNamesSubscribe: ["a"] });
    subscription.receive(ackOf("1"));
    expect(subscription.next(viewOf("2", { a: "a1", b: "b2", c: "c1" }))).toBeNull();
  });

  test("of a name that was given up, not even that it is gone", () => {
    const subscription = subscribed(AB, { resourceNamesSubscribe: ["a", "b"] });
    subscription.receive(requestOf({ responseNonce: "1", resourceNamesUnsubscribe: ["b"] }));
    expect(subscription.next(viewOf("2", { a: "a1" }))).toBeNull();
  });

  test("after the wildcard was given up", () => {
    const subscription = subscribed(AB);
    subscription.receive(requestOf({ responseNonce: "1", resourceNamesUnsubscribe: ["*"] }));
    expect(subscription.next(viewOf("2", { a: "a2", b: "b2" }))).toBeNull();
  });
});

describe("later changes", () => {
  test.each([
    ["a new resource", { a: "a1", b: "b1", c: "c1" }, ["c"], []],
    ["a changed one", { a: "a2", b: "b1" }, ["a"], []],
    ["one that has gone", { a: "a1" }, [], ["b"]],
    ["all of them gone", {}, [], ["a", "b"]],
    ["one for another", { a: "a1", c: "c1" }, ["c"], ["b"]],
  ])("%s", (_name, versions, sent, removed) => {
    const subscription = subscribed(AB);
    subscription.receive(ackOf("1"));
    expect(summary(subscription, viewOf("2", versions))).toEqual({ sent, removed });
  });

  test("a name that did not exist is sent when it comes", () => {
    const subscription = subscribed(AB, { resourceNamesSubscribe: ["x"] });
    subscription.receive(ackOf("1"));
    expect(subscription.next(AB)).toBeNull();
    expect(summary(subscription, viewOf("2", { x: "x1" }))).toEqual({ sent: ["x"], removed: [] });
  });

  test("what goes and comes back the same is sent again", () => {
    const subscription = subscribed(AB);
    subscription.receive(ackOf("1"));
    expect(summary(subscription, viewOf("2", { a: "a1" })).removed).toEqual(["b"]);
    subscription.receive(ackOf("2"));
    expect(summary(subscription, AB).sent).toEqual(["b"]);
  });

  test("asking again for a name sends it again", () => {
    const subscription = subscribed(AB, { resourceNamesSubscribe: ["a"] });
    subscription.receive(requestOf({ responseNonce: "1", resourceNamesSubscribe: ["a"] }));
    expect(summary(subscription, AB).sent).toEqual(["a"]);
  });

  test("more than a response holds is sent in turns", () => {
    const third = Math.floor(LIMITS.discoveryResponseBytesMax / 3);
    const large = viewOf("1", { a: "1", b: "1", c: "1", d: "1" }, third);
    const subscription = createSubscription("t");
    subscription.receive(requestOf());
    expect(summary(subscription, large).sent).toEqual(["a", "b", "c"]);
    expect(subscription.next(large)).toBeNull();
    subscription.receive(ackOf("1"));
    expect(summary(subscription, large).sent).toEqual(["d"]);
  });

  test("a single resource over the size is sent alone, not withheld", () => {
    const large = viewOf("1", { a: "1", b: "1" }, LIMITS.discoveryResponseBytesMax + 1);
    const subscription = createSubscription("t");
    subscription.receive(requestOf());
    expect(summary(subscription, large).sent).toEqual(["a"]);
  });
});

describe("a refusal", () => {
  test("is told with its reason and the version that it is of", () => {
    const subscription = subscribed(AB);
    expect(subscription.receive(nackOf("1", "no good"))).toEqual({ version: "1", error: "no good" });
    expect(subscription.hasRefused).toBe(true);
  });

  test("without a reason is none the less one", () => {
    expect(subscribed(AB).receive(nackOf("1", ""))).toEqual({ version: "1", error: "no reason was given" });
  });

  test("is not answered with the same again, also when something else changes", () => {
    const subscription = subscribed(AB);
    subscription.receive(nackOf("1", "no"));
    expect(subscription.next(AB)).toBeNull();
    expect(summary(subscription, viewOf("2", { a: "a1", b: "b1", c: "c1" })).sent).toEqual(["c"]);
    subscription.receive(ackOf("2"));
    expect(subscription.hasRefused).toBe(true);
  });

  test("ends when a part of it changes: all of it is sent again", () => {
    const subscription = subscribed(AB);
    subscription.receive(nackOf("1", "no"));
    expect(summary(subscription, viewOf("2", { a: "a2", b: "b1" })).sent).toEqual(["a", "b"]);
    expect(subscription.hasRefused).toBe(false);
  });

  test("ends when a part of it goes: that is told, since the client may have an older version", () => {
    const subscription = subscribed(AB);
    subscription.receive(nackOf("1", "no"));
    expect(summary(subscription, viewOf("2", { b: "b1" }))).toEqual({ sent: ["b"], removed: ["a"] });
  });
});

describe("a client that is in step", () => {
  test("is sent what changed, and told what is gone, by the changes alone", () => {
    const subscription = inStep();
    expect(summary(subscription, following({ a: "a2", b: "b1" }, ["a"]))).toEqual({ sent: ["a"], removed: [] });
    subscription.receive(ackOf("2"));
    expect(summary(subscription, following({ b: "b1" }, ["a"]))).toEqual({ sent: [], removed: ["a"] });
    subscription.receive(ackOf("3"));
    expect(subscription.next(following({ b: "b1" }, []))).toBeNull();
  });

  test("is sent a name again that it asks for, without everything else", () => {
    const subscription = inStep();
    subscription.receive(requestOf({ resourceNamesSubscribe: ["b"] }));
    expect(summary(subscription, following({ a: "a1", b: "b1" }, []))).toEqual({ sent: ["b"], removed: [] });
  });

  test("is told that a name does not exist that it asks for, and sent it when it comes", () => {
    const subscription = inStep();
    subscription.receive(requestOf({ resourceNamesSubscribe: ["x"] }));
    expect(summary(subscription, following({ a: "a1", b: "b1" }, []))).toEqual({ sent: [], removed: ["x"] });
    subscription.receive(ackOf("2"));
    expect(summary(subscription, following({ a: "a1", b: "b1", x: "x1" }, ["x"])).sent).toEqual(["x"]);
  });

  test("is not sent again what it refused, until a part of it changes", () => {
    const subscription = inStep();
    expect(summary(subscription, following({ a: "a2", b: "b2" }, ["a", "b"])).sent).toEqual(["a", "b"]);
    subscription.receive(nackOf("2", "no"));
    expect(subscription.next(following({ a: "a2", b: "b2" }, []))).toBeNull();
    expect(summary(subscription, following({ a: "a3", b: "b2" }, ["a"])).sent).toEqual(["a", "b"]);
  });

  test("is told that something is gone which it refused", () => {
    const subscription = inStep();
    subscription.next(following({ a: "a2", b: "b1" }, ["a"]));
    subscription.receive(nackOf("2", "no"));
    expect(summary(subscription, following({ b: "b1" }, ["a"]))).toEqual({ sent: [], removed: ["a"] });
  });

  test("gets many changes in turns, none twice", () => {
    const third = Math.floor(LIMITS.discoveryResponseBytesMax / 3);
    const subscription = inStep();
    const many = { ...viewOf("2", { a: "2", b: "2", c: "2", d: "2" }, third), changedSince: () => new Set("abcd") };
    expect(summary(subscription, many)).toEqual({ sent: ["a", "b", "c"], removed: [] });
    subscription.receive(ackOf("2"));
    expect(summary(subscription, many)).toEqual({ sent: ["d"], removed: [] });
  });

  test("begins anew when too much has changed to be known: what it has is not kept for it", () => {
    const lost = { ...viewOf("2", { a: "a2" }), changedSince: () => null };
    expect(() => inStep().next(lost)).toThrow(expect.objectContaining({ code: "overloaded" }));
  });

  test("that gives up the wildcard is sent what it still asks for by name, and no more", () => {
    const subscription = inStep();
    subscription.receive(requestOf({ resourceNamesSubscribe: ["b"], resourceNamesUnsubscribe: ["*"] }));
    expect(summary(subscription, following({ a: "a2", b: "b1" }, ["a"])).sent).toEqual(["b"]);
    subscription.receive(ackOf("2"));
    expect(subscription.next(following({ a: "a3", b: "b1" }, ["a"]))).toBeNull();
  });
});

test("more names than the limit end the stream", () => {
  const names = Array.from({ length: LIMITS.discoveryNamesMax + 1 }, (_, index) => `n${index}`);
  const subscription = createSubscription("t");
  expect(() => subscription.receive(requestOf({ resourceNamesSubscribe: names }))).toThrow(
    expect.objectContaining({ code: "overloaded" }),
  );
});

function subscribed(view: TypeView, request: Partial<DeltaDiscoveryRequest__Output> = {}): Subscription {
  const subscription = createSubscription("t");
  subscription.receive(requestOf(request));
  expect(subscription.next(view)).not.toBeNull();
  return subscription;
}

function summary(subscription: Subscription, view: TypeView) {
  const response = subscription.next(view);
  return { sent: response?.resources?.map(({ name }) => name), removed: response?.removedResources };
}

function ackOf(responseNonce: string): DeltaDiscoveryRequest__Output {
  return requestOf({ responseNonce });
}

function nackOf(responseNonce: string, message: string): DeltaDiscoveryRequest__Output {
  return requestOf({ responseNonce, errorDetail: { code: 3, message } });
}

function following(versions: Readonly<Record<string, string>>, changed: readonly string[]): TypeView {
  return { ...viewOf("n", versions), changedSince: () => new Set(changed) };
}

function inStep(): Subscription {
  const subscription = subscribed(following({ a: "a1", b: "b1" }, []));
  subscription.receive(ackOf("1"));
  return subscription;
}
