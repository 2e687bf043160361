import { beforeAll, describe, expect, it } from "vitest";
import { type Fault, locatePlain } from "../../src/core/located.ts";
import { JWT_RULE, type JwtRule } from "../../src/policy/authentication/jwt-rule.ts";
import { parseKeySet } from "../../src/policy/authentication/key-set.ts";
import { loadVerifier, type TokenRule } from "../../src/policy/authentication/verify-token.ts";
import type { AdmissionStep, StepAnswer } from "../../src/proxy/admission-steps.ts";
import { AuthenticateStep } from "../../src/proxy/authenticate.ts";
import { openSimMesh, say, SIM_START_MS, type SimMesh } from "../support/sim-mesh.ts";
import { BETWEEN, policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";
import { type IssuerKey, issuerKey, jwksOf, tokenOf } from "../support/test-tokens.ts";

// What becomes of a request that was let in by its token when rules, keys or time take that token back.

const OLD = issuerKey("old");
const NEW = issuerKey("new");
const STRANGER = issuerKey("old");
const EXP_SEC = SIM_START_MS / 1_000 + 60;
const ALICE = { iss: "https://id.example", sub: "alice", exp: EXP_SEC, group: "staff" };

const USERS_MAY = policy("users-may", {
  rules: [{ from: [{ source: { requestPrincipals: ["https://id.example/*"] } }] }],
});
const ALICE_BY_HEADER = policy("alice-by-header", {
  rules: [{ when: [{ key: "request.headers[x-user]", values: ["alice"] }] }],
});
const NO_STAFF = policy("no-staff", {
  action: "DENY",
  rules: [{ when: [{ key: "request.auth.claims[group]", values: ["staff"] }] }],
});

beforeAll(loadVerifier);

function ruleOf(fields: object = {}, ...keys: readonly IssuerKey[]): TokenRule {
  const faults: Fault[] = [];
  const located = locatePlain({ issuer: "https://id.example", jwksUri: "https://id.example/k", ...fields });
  const rule = JWT_RULE(located, { file: "r", field: "", faults }) as JwtRule;
  expect(faults).toEqual([]);
  return { rule, isExpirationRequired: true, keys: parseKeySet(jwksOf(...(keys.length === 0 ? [OLD] : keys))) };
}

/** Signatures are verified on another thread, which simulated time does not wait for: whoever waits for them can be told. */
interface Watched {
  readonly step: AdmissionStep;
  verified(): Promise<unknown>;
}

function watched(step: AdmissionStep): Watched {
  const under: Promise<StepAnswer>[] = [];
  const noted = (answer: StepAnswer | Promise<StepAnswer>) => {
    under.push(Promise.resolve(answer));
    return answer;
  };
  return {
    step: {
      ask: (asked, asking) => noted(step.ask(asked, asking)),
      identifyAgain: (asked) => noted(step.identifyAgain!(asked)),
    },
    verified: () => Promise.all(under),
  };
}

class World {
  readonly mesh: SimMesh;

  constructor(mesh: SimMesh) {
    this.mesh = mesh;
  }

  step(...rules: readonly TokenRule[]): AuthenticateStep {
    return new AuthenticateStep(rules, this.mesh.clock);
  }

  /** Puts a set in force, and waits for all that follows. */
  async put(policies: readonly object[], step: AdmissionStep | null, revision = "second"): Promise<void> {
    const watching = step === null ? null : watched(step);
    this.mesh.orders.policy.set(policySetOf(policies, {}, revision, watching === null ? [] : [watching.step]));
    await this.settle(watching);
  }

  async settle(watching: Watched | null): Promise<void> {
    await this.mesh.settle();
    await watching?.verified();
    await this.mesh.settle();
  }

  get ended() {
    return this.mesh.orders.flows.filter(({ reporter }) => reporter === "destination");
  }

  close(): Promise<void> {
    return this.mesh.close();
  }
}

/** A request that orders' app has got, and not answered. */
async function underWay(
  between: (typeof BETWEEN)[number],
  { token = tokenOf(OLD, ALICE), policies = [USERS_MAY], rules = [ruleOf()] as readonly TokenRule[] } = {},
): Promise<{ readonly world: World; readonly step: AdmissionStep }> {
  const world = new World(await openSimMesh({ between }));
  const watching = watched(world.step(...rules));
  world.mesh.orders.policy.set(policySetOf(policies, {}, "first", [watching.step]));
  const head = `GET /x HTTP/1.1\r\nHost: orders\r\nAuthorization: Bearer ${token}\r\n\r\n`;
  await world.mesh.call(world.mesh.toOrders, head);
  await world.settle(watching);
  expect(world.mesh.ordersApp[0]!.text()).toMatch(/^GET \/x /);
  return { world, step: watching.step };
}

describe.each(BETWEEN)("a request under way that was let in by its token, with %s between the sidecars", (between) => {
  it("ends when no rule looks for tokens any more, and policy wants one", async () => {
    const { world } = await underWay(between);
    await world.put([USERS_MAY], null);
    expect(world.ended).toMatchObject([{ verdict: "denied", reason: "permission-lost", revision: "second" }]);
    expect(world.mesh.ordersApp[0]!.error?.code).toBe("downstream-reset");
    await world.close();
  });

  it.each<[string, TokenRule, string]>([
    ["its issuer has gone", ruleOf({ issuer: "https://other.example" }), "no rule is for its issuer"],
    ["its key has gone", ruleOf({}, NEW), "there is no key"],
    ["its key's name stands for another key", ruleOf({}, STRANGER), "its signature is not good"],
    ["the keys cannot be had", { ...ruleOf(), keys: "the keys cannot be had" }, "the keys cannot be had"],
    ["its audience has gone", ruleOf({ audiences: ["orders"] }), "the token is for nobody"],
  ])("ends when %s, whatever policy says", async (_name, rule, why) => {
    const { world } = await underWay(between);
    await world.put([USERS_MAY, WEB_MAY], world.step(rule));
    expect(world.ended).toMatchObject([{ verdict: "denied", reason: "permission-lost" }]);
    expect(world.ended[0]!.detail).toContain(why);
    await world.close();
  });

  it("ends when another rule begins to require a token that it lacks", async () => {
    const { world } = await underWay(between);
    const other = ruleOf({ issuer: "https://other.example", presence: "REQUIRED", fromHeaders: [{ name: "x-other" }] });
    await world.put([WEB_MAY], world.step(ruleOf(), other));
    expect(world.ended[0]).toMatchObject({ verdict: "denied", reason: "permission-lost" });
    expect(world.ended[0]!.detail).toContain("lacks a token");
    await world.close();
  });

  it("ends at the next change after its token has, where policy wants one", async () => {
    const { world, step } = await underWay(between);
    await world.mesh.pass(91_000);
    expect(world.ended).toEqual([]);
    await world.put([USERS_MAY], step);
    expect(world.ended).toMatchObject([{ verdict: "denied", reason: "permission-lost" }]);
    await world.close();
  });

  it("ends where only a header grants that was written from a token that nobody looks for any more", async () => {
    const rules = [ruleOf({ outputClaimToHeaders: [{ claim: "sub", header: "x-user" }] })];
    const { world } = await underWay(between, { rules, policies: [ALICE_BY_HEADER] });
    await world.put([ALICE_BY_HEADER], null);
    expect(world.ended).toMatchObject([{ verdict: "denied", reason: "permission-lost" }]);
    await world.close();
  });

  it("ends by a DENY on what its token said, though that token is believed no more", async () => {
    const { world } = await underWay(between, { policies: [WEB_MAY] });
    await world.put([WEB_MAY, NO_STAFF], null);
    expect(world.ended).toMatchObject([{ verdict: "denied", policy: "shop/no-staff" }]);
    await world.close();
  });

  it("goes on without its claims where policy wants none of them", async () => {
    const { world } = await underWay(between, { policies: [WEB_MAY] });
    await world.put([WEB_MAY], null);
    await world.put([WEB_MAY], world.step(ruleOf()), "third");
    expect(world.ended).toEqual([]);
    await world.close();
  });

  it("goes on when its token is good by the new keys, too, and at the change after that", async () => {
    const { world } = await underWay(between);
    const step = world.step(ruleOf({}, NEW, OLD));
    await world.put([USERS_MAY], step);
    await world.put([USERS_MAY, WEB_MAY], step, "third");
    expect(world.ended).toEqual([]);
    await world.close();
  });

  it("goes on after its token's end as long as nothing changes, as with Envoy", async () => {
    const { world } = await underWay(between);
    await world.mesh.pass(91_000);
    say(world.mesh.ordersApp[0]!, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    await world.mesh.settle();
    expect(world.ended).toMatchObject([{ verdict: "allowed", status: 200 }]);
    await world.close();
  });
});

async function begun(fields: string): Promise<World> {
  const world = new World(await openSimMesh({}));
  await world.mesh.call(world.mesh.toOrders, `GET /x HTTP/1.1\r\nHost: orders\r\n${fields}\r\n`);
  return world;
}

describe("a request under way that nobody had asked for a token", () => {
  it("ends by a DENY on what its token says, once that is looked into", async () => {
    const world = await begun(`Authorization: Bearer ${tokenOf(OLD, ALICE)}\r\n`);
    await world.put([WEB_MAY, NO_STAFF], world.step(ruleOf()));
    expect(world.ended).toMatchObject([{ verdict: "denied", policy: "shop/no-staff" }]);
    await world.close();
  });

  it("ends when its token turns out to be nobody's", async () => {
    const world = await begun(`Authorization: Bearer ${tokenOf(STRANGER, ALICE)}\r\n`);
    await world.put([WEB_MAY], world.step(ruleOf()));
    expect(world.ended[0]!.detail).toContain("its signature is not good");
    await world.close();
  });

  it("ends when a token is required from now on", async () => {
    const world = await begun("");
    await world.put([WEB_MAY], world.step(ruleOf({ presence: "REQUIRED" })));
    expect(world.ended[0]).toMatchObject({ verdict: "denied", reason: "permission-lost" });
    await world.close();
  });

  it("goes on without one where none is required", async () => {
    const world = await begun("");
    await world.put([WEB_MAY], world.step(ruleOf()));
    expect(world.ended).toEqual([]);
    await world.close();
  });

  it("is not ended by a set that has been replaced before its token was verified", async () => {
    const world = await begun(`Authorization: Bearer ${tokenOf(OLD, ALICE)}\r\n`);
    const slow = watched(world.step(ruleOf({}, STRANGER)));
    world.mesh.orders.policy.set(policySetOf([WEB_MAY], {}, "second", [slow.step]));
    await world.put([WEB_MAY], null, "third");
    await world.settle(slow);
    expect(world.ended).toEqual([]);
    await world.close();
  });

  it("ends when asking once more fails for reasons of ours", async () => {
    const world = await begun("");
    const broken: AdmissionStep = { ask: () => null, identifyAgain: () => Promise.reject(new Error("broken")) };
    world.mesh.orders.policy.set(policySetOf([WEB_MAY], {}, "second", [broken]));
    await world.mesh.settle();
    expect(world.ended[0]).toMatchObject({ verdict: "denied", reason: "permission-lost", detail: "broken" });
    await world.close();
  });
});
