import { expect, test } from "vitest";
import { createCustomMatcher } from "../../../src/policy/custom-match.ts";
import { providerOf } from "../../support/asked-outside.ts";
import { policyOf } from "../../support/policy-arbitraries.ts";
import { ALLOW_ALL, policy, questionOf, to } from "../../support/policy-world.ts";

const SERVER = { service: "authz.tools.svc.cluster.local", port: 9191 };
const GRPC = providerOf({ name: "authz", envoyExtAuthzGrpc: SERVER });
const HTTP = providerOf({ name: "authz", envoyExtAuthzHttp: SERVER });

function matcherOf(provider: typeof GRPC) {
  const rules = [to({ paths: ["/none"] }), to({ paths: ["/a"] }), to({ ports: ["9000"] })];
  const custom = policyOf(policy("ask", { action: "CUSTOM", provider: { name: "authz" }, rules }));
  const { workload, settings } = questionOf({});
  return createCustomMatcher([custom, policyOf(ALLOW_ALL)], workload, { ...settings, extensionProviders: [provider] });
}

test.each([
  ["gRPC", GRPC],
  ["HTTP", HTTP],
])(
  "a server that speaks %s is asked about the requests that a rule matches, and the rule is named",
  (_name, provider) => {
    const matches = matcherOf(provider);
    const { peer, request } = questionOf({ path: "/a" });
    expect(matches(peer, request)).toEqual({ policy: "shop/ask", rule: 1, provider: "authz", canBeAsked: true });
    expect(matches(peer, questionOf({ path: "/b" }).request)).toBeNull();
  },
);

test("about bytes a server is asked that speaks gRPC, and no other can be", () => {
  const { peer } = questionOf({ port: 9000 });
  expect(matcherOf(GRPC)(peer, null)).toMatchObject({ canBeAsked: true });
  expect(matcherOf(HTTP)(peer, null)).toMatchObject({ canBeAsked: false });
});

test("where no policy asks, nobody is asked", () => {
  const { workload, settings, peer, request } = questionOf({});
  expect(createCustomMatcher([policyOf(ALLOW_ALL)], workload, settings)(peer, request)).toBeNull();
});
