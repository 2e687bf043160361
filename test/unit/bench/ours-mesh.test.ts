import { expect, test } from "vitest";
import { meshText, policyText, withoutTunnel } from "../../../bench/path/ours-mesh.ts";
import { RULE_COUNT, RULE_PATHS } from "../../../bench/path/rules.ts";

interface PolicyDocument {
  readonly spec: { readonly selector: { readonly matchLabels: { readonly app: string } }; readonly rules: unknown[] };
}

function rulesOf(text: string): Readonly<Record<string, number>> {
  const documents = text.split("---\n").map((each) => JSON.parse(each) as PolicyDocument);
  return Object.fromEntries(documents.map(({ spec }) => [spec.selector.matchLabels.app, spec.rules.length]));
}

test("a hundred rules stand before requests, and one before TCP", () => {
  expect(RULE_PATHS).toHaveLength(RULE_COUNT);
  expect(new Set(RULE_PATHS).size).toBe(RULE_COUNT);
  expect(rulesOf(policyText())).toEqual({ server: 100, grpc: 100, bulk: 1, fresh: 1 });
});

test("a reload changes what is allowed, and only by one rule", () => {
  expect(rulesOf(policyText("/more"))).toEqual({ server: 101, grpc: 101, bulk: 1, fresh: 1 });
});

test("every service that is called has a policy", () => {
  const ports = { outbound: 1, http: 2, grpc: 3, tcp: 4, fresh: 5 };
  const text = meshText(ports, { httpPort: 11, grpcPort: 12, tcpPort: 13 });
  const { spec } = JSON.parse(text) as { spec: { services: readonly { readonly name: string }[] } };
  expect(spec.services.map(({ name }) => name)).toEqual(["caller", ...Object.keys(rulesOf(policyText()))]);
});

test("a workload without the tunnel's mark keeps all else", () => {
  const labels = { app: "fresh", "networking.istio.io/tunnel": "http" };
  const document = { items: [{ kind: "ServiceEntry" }, { kind: "WorkloadEntry", spec: { labels } }] };
  expect(JSON.parse(withoutTunnel(JSON.stringify(document)))).toEqual({
    items: [{ kind: "ServiceEntry" }, { kind: "WorkloadEntry", spec: { labels: { app: "fresh" } } }],
  });
});
