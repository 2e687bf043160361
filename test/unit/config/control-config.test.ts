import { describe, expect, test } from "vitest";
import { parseControlConfig } from "../../../src/config/control-config.ts";

const GOOD = {
  name: "sample",
  stateDir: "/var/lib/cardea",
  policiesDir: "/etc/cardea/policies",
  listen: { host: "127.0.0.1", port: 15_012 },
  admin: { host: "127.0.0.1", port: 15_000 },
};

const GIT = {
  url: "https://git.example/mesh",
  ref: "refs/tags/v1",
  path: "a/b",
  pollSec: 5,
  allowedSigners: "/etc/cardea/signers",
  allowFile: false,
};

test("what is left out gets the mesh's defaults", () => {
  expect(parse(GOOD)).toEqual({
    ...GOOD,
    policiesGit: null,
    logLevel: "info",
    flows: null,
    hubble: null,
    traces: null,
    map: null,
    jwks: { allowHttp: false, allowAddresses: [], caFile: null },
    mesh: {
      trustDomain: "cluster.local",
      trustDomainAliases: [],
      rootNamespace: "cardea-system",
      enforcement: "ENFORCE",
      defaultAction: "DENY",
      pathNormalization: "BASE",
      numTrustedProxies: 0,
      extensionProviders: [],
    },
  });
});

test("every field is taken", () => {
  const mesh = {
    trustDomain: "example.org",
    trustDomainAliases: ["old.example.org"],
    rootNamespace: "root",
    enforcement: "AUDIT",
    defaultAction: "ALLOW",
    pathNormalization: "MERGE_SLASHES",
    numTrustedProxies: 2,
    extensionProviders: [],
  };
  const flows = { listen: { host: "127.0.0.1", port: 15_017 }, retentionMs: 3_600_000, bytesMax: 4_194_304 };
  const jwks = { allowHttp: true, allowAddresses: ["10.0.0.0/8"], caFile: null };
  const traces = { url: "http://collector:4317/", protocol: "grpc" };
  const whole = {
    ...GOOD,
    mesh,
    flows,
    hubble: { listen: { host: "127.0.0.1", port: 4_245 }, dnsNames: ["hubble.example"] },
    traces,
    map: null,
    jwks,
    policiesGit: GIT,
    logLevel: "debug",
    admin: { host: "::1", port: 0 },
  };
  expect(parse(whole)).toEqual(whole);
});

describe("is refused, with the field and what was expected", () => {
  test.each([
    ["a relative directory", { stateDir: "state" }, 'control.json: stateDir: expected an absolute path, found "state"'],
    ["an empty name", { name: "" }, "control.json: name: must not be empty"],
    ["a host name to listen on", { listen: { host: "localhost", port: 1 } }, "listen.host: expected an IP address"],
    ["an admin port for all to reach", { admin: { host: "0.0.0.0", port: 1 } }, "admin.host: expected a loopback"],
    ["a port too large", { listen: { host: "::", port: 65_536 } }, "listen.port: expected a whole number from 0 to"],
    ["a port as text", { listen: { host: "::", port: "80" } }, "listen.port: expected a whole number"],
    ["a collector without a port", { flows: { listen: { host: "127.0.0.1" } } }, "flows.listen.port: is required"],
    [
      "a store too small",
      { flows: { listen: { host: "::1", port: 1 }, bytesMax: 1 } },
      "flows.bytesMax: expected a whole number from",
    ],
    ["a mistyped field", { polciesDir: "/x" }, "did you mean `policiesDir`?"],
    [
      "an enforcement that does not exist",
      { mesh: { enforcement: "OFF" } },
      "mesh.enforcement: expected one of ENFORCE",
    ],
    ["a bad trust domain", { mesh: { trustDomain: "Example.org" } }, "mesh.trustDomain:"],
    ["a bad alias", { mesh: { trustDomainAliases: ["ok.test", "a/b"] } }, "mesh.trustDomainAliases[1]:"],
    ["a log level that does not exist", { logLevel: "trace" }, "logLevel: expected one of debug"],
  ])("%s", (_name, change, message) => {
    expect(() => parse({ ...GOOD, ...change })).toThrow(
      expect.objectContaining({ code: "bad-input", message: expect.stringContaining(message) as string }),
    );
  });

  test.each([
    ["no JSON", "{", "control.json: is not JSON"],
    ["an empty file", "", "control.json: is not JSON"],
    ["a list", "[]", "control.json: expected a map, found a list"],
    ["null", "null", "control.json: expected a map, found nothing (null)"],
  ])("%s", (_name, text, message) => {
    expect(() => parseControlConfig(text, "control.json")).toThrow(
      expect.objectContaining({ code: "bad-input", message: expect.stringContaining(message) as string }),
    );
  });

  test("all faults at once, a line each", () => {
    const lines = messageOf(() => parse({ ...GOOD, name: 1, logLevel: "x", stateDir: "y" })).split("\n");
    expect(lines).toHaveLength(3);
  });
});

function parse(config: object): unknown {
  return parseControlConfig(JSON.stringify(config), "control.json");
}

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (thrown) {
    return (thrown as Error).message;
  }
  throw new Error("nothing was thrown");
}
