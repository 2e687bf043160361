import { beforeEach, describe, expect, test } from "vitest";
import { createPolicySinks, type PolicySinks } from "../../../../src/proxy/discovery/policy-sinks.ts";
import { decideTcp } from "../../../../src/policy/decide.ts";
import { createKeptLog, type KeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";
import { policyResource, responseOf, setResource } from "./responses.ts";

const NOW_MS = Date.UTC(2026, 10, 23, 10);
const HOUR_MS = 3_600_000;
const PEER = {
  principal: null,
  sourceIp: "10.0.0.1",
  remoteIp: "10.0.0.1",
  destinationIp: "10.0.0.2",
  destinationPort: 80,
  sni: null,
};

let clock: SimulatedClock;
let log: KeptLog;
let sinks: PolicySinks;
/** Whether a connection would be let in, at each change of what is in force. */
let changes: (boolean | null)[];

beforeEach(() => {
  clock = createSimulatedClock(NOW_MS);
  log = createKeptLog();
  sinks = createPolicySinks({ workload: { namespace: "shop", labels: { app: "orders" } }, clock, logger: log });
  changes = [];
  sinks.inForce.subscribe((set) => changes.push(set === null ? null : decideTcp(set.compiled, PEER).allow));
});

function grant(annotations: Readonly<Record<string, string>>, name = "grant") {
  const own = Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`cardea.dev/${key}`, value]));
  const metadata = { name, namespace: "shop", annotations: own };
  const document = { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec: { rules: [{}] } };
  return policyResource(name, {}, { document: JSON.stringify(document) });
}

/** What was logged under that name. */
function told(event: string) {
  return log.lines.filter((line) => line.event === event).map(({ level, fields }) => ({ level, ...fields }));
}

async function put(revision: string, ...policies: readonly ReturnType<typeof grant>[]): Promise<void> {
  sinks.policies.apply(responseOf(policies));
  const answer = sinks.policySet.apply(responseOf([setResource(revision, policies)]));
  expect(await answer).toBeNull();
}

describe("a grant's time", () => {
  test("ends it by the sidecar's own clock, to the millisecond, with no word of the control plane", async () => {
    await put("r1", grant({ expires: "2026-11-23T11:00:00Z" }));
    expect(changes).toEqual([true]);
    await clock.advance(HOUR_MS - 1);
    expect(changes).toEqual([true]);
    await clock.advance(1);
    expect(changes).toEqual([true, false]);
    expect(sinks.inForce.get()?.revision).toBe("r1");
    expect(clock.timers).toBe(0);
  });

  test("begins it, and ends it", async () => {
    await put("r1", grant({ "valid-from": "2026-11-23T10:30:00Z", expires: "2026-11-23T11:00:00Z" }));
    await clock.advance(HOUR_MS / 2);
    await clock.advance(HOUR_MS / 2);
    expect(changes).toEqual([false, true, false]);
  });

  test("that is over when it comes never lets anything through", async () => {
    await put("r1", grant({ expires: "2026-11-23T09:59:59Z" }));
    expect(changes).toEqual([false]);
    expect(clock.timers).toBe(0);
  });

  test("is looked at within a minute after the wall clock was set", async () => {
    await put("r1", grant({ expires: "2026-12-23T11:00:00Z" }));
    clock.setWall(Date.UTC(2027, 0, 1));
    await clock.advance(59_999);
    expect(changes).toEqual([true]);
    await clock.advance(1);
    expect(changes).toEqual([true, false]);
  });

  test("has no say any more once another set is in force", async () => {
    await put("r1", grant({ expires: "2026-11-23T11:00:00Z" }));
    await put("r2", grant({}));
    await clock.advance(2 * HOUR_MS);
    expect(changes).toEqual([true, true]);
    expect(clock.timers).toBe(0);
  });

  test("costs a set without grants nothing: no timer", async () => {
    await put("r1", grant({}));
    expect(clock.timers).toBe(0);
  });
});

describe("a broken glass", () => {
  const glass = {
    "break-glass": "true",
    "valid-from": "2026-11-23T10:30:00Z",
    expires: "2026-11-23T11:00:00Z",
    ticket: "INC-7",
    "requested-by": "ada",
  };

  test("is said when it begins, with who and why and until when, and not before", async () => {
    await put("r1", grant(glass));
    expect(told("break-glass-in-force")).toEqual([]);
    await clock.advance(HOUR_MS / 2);
    expect(told("break-glass-in-force")).toMatchObject([
      { level: "warn", policy: "shop/grant", ticket: "INC-7", requestedBy: "ada", until: "2026-11-23T11:00:00.000Z" },
    ]);
    await clock.advance(HOUR_MS);
    expect(told("break-glass-in-force")).toHaveLength(1);
    expect(told("grants-changed")).toHaveLength(2);
  });
});
