import { describe, expect, it } from "vitest";
import { createLatest } from "../../../src/core/latest.ts";
import { parseSpiffeId } from "../../../src/core/spiffe-id.ts";
import type { PeerFacts } from "../../../src/policy/decide.ts";
import { isPermit, PeerAuthorizer, type Permit, permitEgress } from "../../../src/proxy/authorize.ts";
import { Connector } from "../../../src/proxy/connect.ts";
import type { PolicySet } from "../../../src/proxy/discovery/policy-sinks.ts";
import { Forward } from "../../../src/proxy/forward.ts";
import { Pools } from "../../../src/proxy/pool.ts";
import { SeenRequest } from "../../../src/proxy/request-facts.ts";
import { appTarget } from "../../../src/proxy/target.ts";
import { createSimClock } from "../../support/sim-clock.ts";
import { createSimNetwork } from "../../support/sim-network.ts";
import { shopId } from "../../support/test-authority.ts";
import { policy, policySetOf, WEB_MAY } from "../../support/test-mesh.ts";

const TARGET = appTarget(8080, { host: "127.0.0.1", port: 40_000 }, { speaks: "http/1.1", from: null });
const WEB: PeerFacts = {
  principal: parseSpiffeId(shopId("web")),
  sourceIp: "127.0.0.1",
  remoteIp: "127.0.0.1",
  destinationIp: "127.0.0.1",
  destinationPort: 8080,
  sni: null,
};
const REQUEST = new SeenRequest({ method: "GET", path: "/x", host: "orders", headers: [], claims: null });

describe("a permit", () => {
  it("carries the one target that is authorized and dialled", () => {
    const authorization = authorizer(policySetOf([WEB_MAY])).authorizeRequest(REQUEST);
    expect(authorization).toMatchObject({
      allow: true,
      permit: { grant: { verdict: "allowed", policy: "shop/web-may" } },
    });
    expect(authorization.allow && authorization.permit.target).toBe(TARGET);
    expect(Object.isFrozen(TARGET)).toBe(true);
  });

  it("cannot be made elsewhere", () => {
    const genuine = permitEgress(TARGET);
    expect(isPermit(genuine)).toBe(true);
    expect(isPermit(Object.assign({}, genuine))).toBe(false);
    expect(isPermit(Object.create(genuine) as object)).toBe(false);
    expect(isPermit({ target: TARGET, grant: genuine.grant })).toBe(false);
  });

  it("that is forged is not forwarded", async () => {
    const network = createSimNetwork();
    const clock = createSimClock(0);
    const connector = new Connector({ network, clock, identity: createLatest(null) });
    const forward = new Forward({
      connector,
      clock,
      pools: new Pools(() => Promise.reject(new Error("dialled"))),
      onConnect: () => {},
    });
    const forged = { target: TARGET, grant: permitEgress(TARGET).grant } as Permit;
    const waiter = { onChannel: () => {}, onNoChannel: () => {} };
    expect(() => forward.request(forged, waiter)).toThrow(expect.objectContaining({ code: "internal" }));
    expect(() => forward.connect(forged, [])).toThrow(expect.objectContaining({ code: "internal" }));
  });
});

describe("authorization", () => {
  it("denies everything without a policy", () => {
    const nothing = authorizer(null);
    for (const authorization of [nothing.authorizeRequest(REQUEST), nothing.authorizeConnection()]) {
      expect(authorization).toMatchObject({ allow: false, denial: { decision: { reason: "policy-not-loaded" } } });
    }
  });

  it("denies what no policy allows, by the mesh's default", () => {
    expect(authorizer(policySetOf([])).authorizeRequest(REQUEST)).toMatchObject({
      allow: false,
      denial: { decision: { policy: "mesh/default", reason: "default-action" }, revision: "test-revision" },
    });
  });

  it("denies an opaque connection what is allowed to requests alone", () => {
    const gets = policy("gets", { action: "ALLOW", rules: [{ to: [{ operation: { methods: ["GET"] } }] }] });
    const bound = authorizer(policySetOf([gets]));
    expect(bound.authorizeRequest(REQUEST).allow).toBe(true);
    expect(bound.authorizeConnection().allow).toBe(false);
  });

  it("follows the newest policy, on a connection that it has decided before", () => {
    const cell = createLatest<PolicySet | null>(policySetOf([WEB_MAY]));
    const bound = new PeerAuthorizer(WEB, { policy: cell, enforcement: null, target: TARGET, grpcTarget: null });
    expect(bound.authorizeRequest(REQUEST).allow).toBe(true);
    cell.set(policySetOf([], {}, "second"));
    expect(bound.authorizeRequest(REQUEST)).toMatchObject({ allow: false, denial: { revision: "second" } });
    cell.set(null);
    expect(bound.authorizeRequest(REQUEST).allow).toBe(false);
  });

  it.each([
    ["AUDIT", null, "would-deny"],
    ["ENFORCE", "AUDIT", "would-deny"],
    ["AUDIT", "ENFORCE", "denied"],
    ["ENFORCE", null, "denied"],
  ] as const)("mesh %s, sidecar %s: %s", (mesh, own, outcome) => {
    const cell = createLatest<PolicySet | null>(policySetOf([], { enforcement: mesh }));
    const bound = new PeerAuthorizer(WEB, { policy: cell, enforcement: own, target: TARGET, grpcTarget: null });
    const authorization = bound.authorizeRequest(REQUEST);
    expect(authorization.allow ? authorization.permit.grant.verdict : "denied").toBe(outcome);
  });
});

describe("policies that decide nothing", () => {
  const NO_GET = policy("no-get", { action: "DENY", rules: [{ to: [{ operation: { methods: ["GET"] } }] }] });
  const STAGED = {
    ...NO_GET,
    metadata: { name: "no-get", namespace: "shop", annotations: { "istio.io/dry-run": "true" } },
  };
  const WATCH = policy("watch", { action: "AUDIT", rules: [{ to: [{ operation: { ports: ["8080"] } }] }] });

  it("are told with the permit that they did not take away", () => {
    const authorization = authorizer(policySetOf([WEB_MAY, STAGED, WATCH])).authorizeRequest(REQUEST);
    expect(authorization).toMatchObject({
      allow: true,
      permit: {
        grant: {
          verdict: "allowed",
          policy: "shop/web-may",
          observation: {
            audit: { policy: "shop/watch", rule: 0 },
            dryRun: { allow: false, policy: "shop/no-get", rule: 0 },
          },
        },
      },
    });
  });

  it("are told with the denial that they did not make", () => {
    const bound = authorizer(policySetOf([WATCH]));
    for (const authorization of [bound.authorizeRequest(REQUEST), bound.authorizeConnection()])
      expect(authorization).toMatchObject({
        allow: false,
        denial: {
          decision: { policy: "mesh/default" },
          observation: { audit: { policy: "shop/watch" }, dryRun: null },
        },
      });
  });

  it("cost nothing where none selects the workload", () => {
    const authorization = authorizer(policySetOf([WEB_MAY])).authorizeRequest(REQUEST);
    expect(authorization).toMatchObject({ allow: true, permit: { grant: { observation: null } } });
    expect(policySetOf([WEB_MAY]).compiled.unenforced).toBeNull();
  });
});

function authorizer(set: PolicySet | null): PeerAuthorizer {
  return new PeerAuthorizer(WEB, { policy: createLatest(set), enforcement: null, target: TARGET, grpcTarget: null });
}
