import { describe, expect, test } from "vitest";
import { parseKubeControlConfig } from "../../../src/config/kube-control-config.ts";

function parse(text: string | null, env: Readonly<Record<string, string>> = {}) {
  return parseKubeControlConfig(text, "mesh.yaml", env);
}

test("without a file the defaults hold, with what the pod knows of itself", () => {
  const config = parse(null, { CARDEA_POD_NAME: "control-1", CARDEA_POD_NAMESPACE: "mesh" });
  expect(config).toMatchObject({
    mesh: { trustDomain: "cluster.local", rootNamespace: "mesh", defaultAction: "DENY" },
    audience: "cardea",
    replica: "control-1",
    listen: { port: 15_012 },
    admin: { host: "127.0.0.1" },
    telemetry: { port: 15_014 },
  });
});

test("flows are kept where the file says so, and nowhere without it", () => {
  expect(parse(null).flows).toBeNull();
  expect(parse("flows: {directory: /var/lib/x}").flows).toEqual({
    listen: { host: "::", port: 4_317 },
    directory: "/var/lib/x",
    retentionMs: 604_800_000,
    bytesMax: 2_147_483_648,
  });
});

test("the file of a ConfigMap says the rest", () => {
  const config = parse(
    "mesh: {trustDomain: example.org, enforcement: AUDIT}\nclusterDomain: k8s.example.org\nwebhookNames: [a.example.org]\n",
  );
  expect(config).toMatchObject({
    mesh: { trustDomain: "example.org", enforcement: "AUDIT" },
    clusterDomain: "k8s.example.org",
    webhookNames: ["a.example.org"],
  });
});

describe("is refused:", () => {
  test.each([
    ["an unknown field", "mash: {}", "mesh.yaml:1:1"],
    ["a trust domain that is none", "mesh: {trustDomain: Example.Org}", "trust domain"],
    ["a status port for everybody", "admin: {host: 0.0.0.0, port: 1}", "loopback"],
    ["a root namespace that is not ours", "mesh: {rootNamespace: other}", "we run in cardea-system"],
    ["a webhook's name with a port", "webhookNames: ['mesh.example.org:443']", "DNS name"],
    ["a webhook's name that is a wildcard", "webhookNames: ['*.example.org']", "DNS name"],
    ["no YAML", "mesh: {", "mesh.yaml"],
  ])("%s", (_name, text, message) => {
    expect(() => parse(text)).toThrow(message);
  });
});
