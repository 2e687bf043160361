import { beforeEach, describe, expect, test } from "vitest";
import type { Resource__Output } from "../../../../src/api/generated/envoy/service/discovery/v3/Resource.ts";
import { createPolicySinks, peerModeAt, type PolicySinks } from "../../../../src/proxy/discovery/policy-sinks.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { authenticationResource, policyResource, resourceOf, responseOf, SETTINGS, setResource } from "./responses.ts";

const a1 = policyResource("a", { rules: [{}] });
const a2 = policyResource("a", { rules: [] });
const b1 = policyResource("b", { action: "DENY", rules: [{}] });

let sinks: PolicySinks;
beforeEach(() => {
  sinks = createPolicySinks({
    workload: { namespace: "shop", labels: { app: "orders" } },
    clock: createSimulatedClock(0),
    logger: createKeptLog(),
  });
});

describe("a set is put in force", () => {
  test("when it and its policies have come, and only then acknowledged", async () => {
    expect(give([a1, b1])).toBeNull();
    expect(sinks.inForce.get()).toBeNull();
    let inForceAtSet: string | undefined;
    sinks.inForce.subscribe((set) => (inForceAtSet = set?.revision));
    const answer = setTo(setResource("r1", [a1, b1]));
    expect(inForceAtSet).toBeUndefined();
    expect(await answer).toBeNull();
    expect(inForceAtSet).toBe("r1");
    const set = sinks.inForce.get()!;
    expect(set.documents.map(({ id, source }) => [id, source])).toEqual([
      ["shop/a", { file: "p.yaml", line: 7 }],
      ["shop/b", { file: "p.yaml", line: 7 }],
    ]);
    expect([set.compiled.allow.rules.length, set.compiled.deny.rules.length]).toEqual([1, 1]);
    expect(set.settings).toEqual(SETTINGS);
  });

  test("when its policies come after it", async () => {
    const answer = setTo(setResource("r1", [a1, b1]));
    give([a1]);
    expect(await isOpen(answer)).toBe(true);
    give([b1]);
    expect(await answer).toBeNull();
    expect(sinks.inForce.get()?.revision).toBe("r1");
  });

  test("without any policy: the default action alone holds", async () => {
    expect(await setTo(setResource("r1", []))).toBeNull();
    expect(sinks.inForce.get()?.compiled.otherwise).toMatchObject({ allow: false });
  });

  test("with those of the held policies that it names, and no others", async () => {
    give([a1, b1]);
    await setTo(setResource("r1", [a1]));
    expect(sinks.inForce.get()?.documents).toHaveLength(1);
  });

  test("compiled for the sidecar's own labels, though it was given more", async () => {
    const other = policyResource("other", { selector: { matchLabels: { app: "web" } }, rules: [{}] });
    give([a1, other]);
    await setTo(
      setResource("r1", [a1, other], { scope: [{ labels: { app: "web" } }, { labels: { app: "orders", x: "y" } }] }),
    );
    expect(sinks.inForce.get()?.compiled.allow.rules).toHaveLength(1);
  });
});

const peer = (name: string, spec: object) => authenticationResource(name, spec, "PeerAuthentication");

describe("what says how callers are known", () => {
  const users = authenticationResource("users", { jwtRules: [{ issuer: "a" }] });
  const web = authenticationResource("web", { selector: { matchLabels: { app: "web" } } });

  test("is in force together with the policies of its set, as far as it selects the workload", async () => {
    give([a1, users, web]);
    expect(await setTo(setResource("r1", [a1, users, web]))).toBeNull();
    const set = sinks.inForce.get()!;
    expect(set.authentication).toMatchObject([
      { kind: "RequestAuthentication", id: "shop/users", source: { line: 5 } },
    ]);
    expect(set.documents).toHaveLength(1);
  });

  test("says of each port what it takes, resolved for the workload; nothing where nobody says anything", async () => {
    const ofNamespace = peer("all", { mtls: { mode: "PERMISSIVE" } });
    const selector = { matchLabels: { app: "orders" } };
    const own = peer("orders", { selector, portLevelMtls: { 8080: { mode: "DISABLE" } } });
    const others = peer("web", { selector: { matchLabels: { app: "web" } }, mtls: { mode: "STRICT" } });
    give([a1, ofNamespace, own, others]);
    expect(await setTo(setResource("r1", [a1, ofNamespace, own, others]))).toBeNull();
    const set = sinks.inForce.get();
    expect(peerModeAt(set, 8080)).toEqual({ mode: "DISABLE", by: "shop/orders" });
    expect(peerModeAt(set, 80)).toMatchObject({ mode: "PERMISSIVE", by: "shop/all" });
    expect(await setTo(setResource("r2", [a1]))).toBeNull();
    expect(peerModeAt(sinks.inForce.get(), 8080)).toEqual({ mode: "STRICT", by: null });
    expect(peerModeAt(null, 8080)).toEqual({ mode: "STRICT", by: null });
  });

  test("says whether records are kept, resolved for the workload; nothing where nobody says anything", async () => {
    const off = authenticationResource(
      "off",
      { accessLogging: [{ match: { mode: "SERVER" }, disabled: true }] },
      "Telemetry",
    );
    give([a1, off]);
    expect(await setTo(setResource("r1", [a1, off]))).toBeNull();
    expect(sinks.inForce.get()?.accessLog).toEqual({ isClientOn: true, isServerOn: false });
    expect(await setTo(setResource("r2", [a1]))).toBeNull();
    expect(sinks.inForce.get()?.accessLog).toBeNull();
  });

  test("keeps the set back while it is missing", async () => {
    give([a1]);
    expect(await isOpen(setTo(setResource("r1", [a1, users])))).toBe(true);
    expect(sinks.inForce.get()).toBeNull();
  });

  test.each<[string, Resource__Output, string]>([
    ["a faulty one", authenticationResource("bad", { jwtRules: [{}] }), "r.yaml:5:1: spec.jwtRules[0].issuer"],
    ["one of another name", { ...users, name: "RequestAuthentication/shop/x" }, "is named otherwise"],
  ])("refuses its set, and the one before stays in force: %s", async (_name, bad, message) => {
    give([a1, users, bad]);
    await setTo(setResource("r1", [a1, users]));
    expect(await setTo(setResource("r2", [a1, bad]))).toContain(message);
    expect(sinks.inForce.get()?.revision).toBe("r1");
  });
});

describe("a set is not put in force", () => {
  test("while one of its policies is missing", async () => {
    give([a1]);
    expect(await isOpen(setTo(setResource("r1", [a1, b1])))).toBe(true);
    expect(sinks.inForce.get()).toBeNull();
  });

  test("while one of its policies has another version", async () => {
    give([a2, b1]);
    expect(await isOpen(setTo(setResource("r1", [a1, b1])))).toBe(true);
    expect(sinks.inForce.get()).toBeNull();
  });

  test("when one of its policies was taken away meanwhile", async () => {
    give([a1]);
    const answer = setTo(setResource("r1", [a1, b1]));
    sinks.policies.apply(responseOf([b1], [a1.name]));
    expect(await isOpen(answer)).toBe(true);
    expect(sinks.inForce.get()).toBeNull();
  });

  test("when a newer one has come first", async () => {
    const older = setTo(setResource("r1", [a1]));
    give([a2]);
    expect(await setTo(setResource("r2", [a2]))).toBeNull();
    expect(await older).toBe("superseded by revision r2");
    give([a1]);
    await settle();
    expect(sinks.inForce.get()?.revision).toBe("r2");
  });

  test("when it was compiled side by side with a newer one", async () => {
    const many = Array.from({ length: 5 }, (_, index) => policyResource(`m${index}`, { rules: [{}] }));
    give([...many, a1]);
    const older = setTo(setResource("r1", many));
    const newer = setTo(setResource("r2", [a1]));
    expect([await older, await newer]).toEqual(["superseded by revision r2", null]);
    expect(sinks.inForce.get()?.revision).toBe("r2");
  });

  test.each([
    ["it has no revision", setResource("", [a1]), "the policy set has no revision"],
    ["it has no settings", setResource("r", [a1], { settings: null }), "the policy set has no mesh settings"],
    [
      "its trust domain is none",
      setResource("r", [a1], { settings: { ...SETTINGS, trustDomain: "A/B" } }),
      "trust domain",
    ],
    ["it has no trust domain", setResource("r", [a1], { settings: { ...SETTINGS, trustDomain: "" } }), "trust domain"],
    [
      "its setting is of the future",
      setResource("r", [a1], { settings: { ...SETTINGS, defaultAction: 7 as never } }),
      "the mesh setting 7 is not known here",
    ],
    [
      "it was chosen for other labels",
      setResource("r", [a1], { scope: [{ labels: { app: "web" } }] }),
      "with the labels app=orders",
    ],
    [
      "it was chosen for the same label of another value",
      setResource("r", [a1], { scope: [{ labels: { app: "orders2" } }] }),
      "app=orders",
    ],
    [
      "its version is not that of its bytes",
      { ...setResource("r", [a1]), version: a1.version },
      "not the hash of what has arrived",
    ],
    ["it is empty", { ...setResource("r", [a1]), resource: null }, "not the hash of what has arrived"],
    ["it is of another type", { ...a1, name: "mesh" }, "expected type.googleapis.com/cardea.mesh.v1.PolicySet"],
  ])("when %s; the old one stays", async (_name, resource, message) => {
    give([a1]);
    await setTo(setResource("r0", [a1]));
    const before = sinks.inForce.get();
    expect(await setTo(resource)).toContain(message);
    expect(sinks.inForce.get()).toBe(before);
    expect(sinks.policySet.held().get("mesh")).toBe(setResource("r0", [a1]).version);
  });
});

describe("policies are refused, all of a response, with file and line,", () => {
  test.each([
    [
      "for a field that does not exist",
      policyResource("x", { ruls: [] }),
      "p.yaml:7:1: spec.ruls: unknown field; did you mean `rules`?",
    ],
    [
      "for a document that is no JSON",
      policyResource("x", {}, { document: "{" }),
      "p.yaml:7: shop/x: the document is not JSON",
    ],
    [
      "for a kind of the future",
      policyResource("x", {}, { kind: "Quota" }),
      'a policy of kind "Quota" is not known here',
    ],
    [
      "for a document of another name",
      { ...policyResource("x", {}), name: "AuthorizationPolicy/shop/y" },
      "the document is shop/x, the resource is named otherwise",
    ],
    [
      "for a version that is not that of its bytes",
      { ...policyResource("x", {}), version: "0" },
      "not the hash of what has arrived",
    ],
    [
      "for bytes that are nothing",
      resourceOf("AuthorizationPolicy/shop/x", { type_url: "t", value: Buffer.from("?") }),
      'is of type "t"',
    ],
    [
      "for a path to Object's prototype",
      policyResource("x", {}, { document: '{"__proto__":{"kind":"AuthorizationPolicy"}}' }),
      "unknown field",
    ],
  ])("%s", (_name, resource, message) => {
    expect(give([a1, resource])).toContain(message);
    expect(sinks.policies.held().size).toBe(0);
  });

  test("which leaves the versions that were held before", () => {
    give([a1]);
    give([a2, policyResource("x", { ruls: [] })]);
    expect(sinks.policies.held()).toEqual(new Map([[a1.name, a1.version]]));
  });
});

describe("what a new stream is told of as held", () => {
  test("is a set only when it is in force", async () => {
    const answer = setTo(setResource("r1", [a1]));
    expect(sinks.policySet.held()).toEqual(new Map());
    give([a1]);
    await answer;
    expect(sinks.policySet.held()).toEqual(new Map([["mesh", setResource("r1", [a1]).version]]));
  });

  test("is every policy that was taken in and not taken away", () => {
    give([a1, b1]);
    sinks.policies.apply(responseOf([a2], [b1.name]));
    expect(sinks.policies.held()).toEqual(new Map([[a2.name, a2.version]]));
  });
});

test("a set that is taken back leaves the last good one in force", async () => {
  give([a1]);
  await setTo(setResource("r1", [a1]));
  expect(sinks.policySet.apply(responseOf([], ["mesh"]))).toBeNull();
  expect(sinks.inForce.get()?.revision).toBe("r1");
});

function give(resources: readonly Resource__Output[]) {
  return sinks.policies.apply(responseOf(resources));
}

async function setTo(resource: Resource__Output): Promise<string | null> {
  return sinks.policySet.apply(responseOf([resource]));
}

async function isOpen(answer: Promise<unknown>): Promise<boolean> {
  const open = Symbol("open");
  await settle();
  return (await Promise.race([answer, Promise.resolve(open)])) === open;
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
