import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { POLICY_SET_TYPE } from "../../../src/api/resource-types.ts";
import { createControlMetrics } from "../../../src/control/metrics.ts";
import { CONTROL_METRIC_TABLE } from "../../../src/control/metric-table.ts";
import { callHttp } from "../../../src/io/http-client.ts";
import {
  type ControlFixture,
  isPresent,
  openControlFixture,
  policy,
  registryOf,
  valueWhen,
} from "./control-fixture.ts";

const OPEN = "{selector: {matchLabels: {app: orders}}, rules: [{}]}";

let mesh: ControlFixture;
beforeEach(async () => {
  mesh = await openControlFixture();
  await mesh.writePolicy("orders.yaml", policy("orders", OPEN));
  await mesh.writeRegistry("orders.json", registryOf("orders", 15_106));
  await mesh.start();
});
afterEach(() => mesh.close());

async function scrape(): Promise<string> {
  const { status, headers, body } = await callHttp(mesh.plane().admin, { path: "/metrics", timeoutMs: 5_000 });
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  return body;
}

/** The value of the sample whose line begins so. */
function valueOf(text: string, sample: string): number | undefined {
  const line = text.split("\n").find((each) => each.startsWith(`${sample} `));
  return line === undefined ? undefined : Number(line.slice(sample.length + 1));
}

async function joined(name: string) {
  const sidecar = await mesh.join(name);
  const set = await valueWhen(sidecar.discovery.policies, isPresent);
  await mesh.log.line("sidecar-acknowledged", { revision: set.revision });
  return { sidecar, revision: set.revision };
}

const DAY_SEC = 86_400;

describe("before anybody has joined", () => {
  test("the counters are there, at zero", async () => {
    const text = await scrape();
    const counters = Object.entries(CONTROL_METRIC_TABLE).filter(
      ([name, { type }]) => type === "counter" && !name.startsWith("cardea_"),
    );
    expect(counters.length).toBeGreaterThan(5);
    for (const [name, { labels }] of counters)
      expect({ name, value: valueOf(text, labels.length === 0 ? name : `${name}{type="wds"}`) }).toEqual({
        name,
        value: 0,
      });
    expect(valueOf(text, "pilot_xds")).toBe(0);
    expect(valueOf(text, "pilot_proxy_convergence_time_count")).toBe(0);
  });

  test("the authority says how long its certificates last", async () => {
    const text = await scrape();
    const nowSec = Date.now() / 1_000;
    const root = valueOf(text, "citadel_server_root_cert_expiry_seconds")!;
    expect(root).toBeGreaterThan(3_649 * DAY_SEC);
    expect(valueOf(text, "citadel_server_root_cert_expiry_timestamp")! - nowSec).toBeCloseTo(root, -2);
    const chain = valueOf(text, "citadel_server_cert_chain_expiry_seconds")!;
    expect(chain).toBeGreaterThan(89 * DAY_SEC);
    expect(chain).toBeLessThanOrEqual(90 * DAY_SEC);
    expect(valueOf(text, "citadel_server_cert_chain_expiry_timestamp")! - nowSec).toBeCloseTo(chain, -2);
    expect(valueOf(text, 'cardea_ca_expiry_seconds{certificate="root"}')).toBe(root);
    expect(valueOf(text, 'cardea_ca_expiry_seconds{certificate="intermediate"}')).toBe(chain);
    const serving = valueOf(text, 'cardea_ca_expiry_seconds{certificate="serving"}')!;
    expect(serving).toBeGreaterThan(0);
    expect(serving).toBeLessThanOrEqual(DAY_SEC);
  });
});

describe("what happens is counted", () => {
  test("a sidecar that joins: request, certificate, connection, what it was sent", async () => {
    const { revision } = await joined("orders");
    const text = await scrape();
    expect(valueOf(text, "citadel_server_csr_count")).toBe(1);
    expect(valueOf(text, "citadel_server_success_cert_issuance_count")).toBe(1);
    expect(valueOf(text, "citadel_server_authentication_failure_count")).toBe(0);
    expect(valueOf(text, "pilot_xds")).toBe(1);
    expect(valueOf(text, "pilot_services")).toBe(1);
    for (const type of ["wds", "policy", "policy_set"])
      expect(valueOf(text, `pilot_xds_pushes{type="${type}"}`)).toBe(1);
    expect(valueOf(text, `cardea_policy_revision_info{revision="${revision}"}`)).toBe(1);
    // Its first configuration is no change.
    expect(valueOf(text, "pilot_proxy_convergence_time_count")).toBe(0);
  });

  test("a change of policy: how long the sidecar took, and the new revision alone", async () => {
    const { sidecar, revision } = await joined("orders");
    await mesh.writePolicy("orders.yaml", policy("orders", "{selector: {matchLabels: {app: orders}}, rules: []}"));
    const next = await valueWhen(sidecar.discovery.policies, (set) => set?.revision !== revision);
    await mesh.log.line("sidecar-acknowledged", { revision: next!.revision });
    const text = await scrape();
    expect(valueOf(text, "pilot_proxy_convergence_time_count")).toBe(1);
    const seconds = valueOf(text, "pilot_proxy_convergence_time_sum")!;
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(5);
    expect(text.match(/^cardea_policy_revision_info\{.*$/gm)).toEqual([
      `cardea_policy_revision_info{revision="${next!.revision}"} 1`,
    ]);
  });

  test("a caller that cannot be attested", async () => {
    const stranger = await mesh.join("web", { token: "nobody-minted-this" });
    await mesh.log.line("svid-refused", { code: "attestation-failed" });
    stranger.close();
    const text = await scrape();
    expect(valueOf(text, "citadel_server_authentication_failure_count")).toBeGreaterThanOrEqual(1);
    expect(valueOf(text, "citadel_server_success_cert_issuance_count")).toBe(0);
    expect(valueOf(text, "citadel_server_csr_parsing_err_count")).toBe(0);
    expect(valueOf(text, "pilot_xds")).toBe(0);
  });

  test("a refused policy set", async () => {
    await mesh.join("orders", { labels: { app: "payments" } });
    await mesh.log.line("sidecar-refused", { typeUrl: POLICY_SET_TYPE });
    const text = await scrape();
    expect(valueOf(text, 'pilot_total_xds_rejects{type="policy_set"}')).toBe(1);
    expect(valueOf(text, 'pilot_total_xds_rejects{type="wds"}')).toBe(0);
  });

  test("a sidecar that has gone", async () => {
    const { sidecar } = await joined("orders");
    sidecar.close();
    await mesh.log.line("sidecar-disconnected");
    expect(valueOf(await scrape(), "pilot_xds")).toBe(0);
  });

  test("faults of policy files and of the registry, until they are mended", async () => {
    expect(valueOf(await scrape(), "cardea_policy_faults")).toBe(0);
    await mesh.writePolicy("broken.yaml", policy("broken", "{rules: [{from: [{source: {principls: [x]}}]}]}"));
    await mesh.log.line("policies-refused");
    await mesh.writeRegistry("broken.json", "{");
    await mesh.log.line("registry-refused");
    const faulty = await scrape();
    expect([valueOf(faulty, "cardea_policy_faults"), valueOf(faulty, "cardea_registry_faults")]).toEqual([1, 1]);
    await mesh.removePolicy("broken.yaml");
    await mesh.log.line("policies-good-again");
    expect(valueOf(await scrape(), "cardea_policy_faults")).toBe(0);
  });
});

test.each([
  ["attestation-failed", "citadel_server_authentication_failure_count"],
  ["csr-invalid", "citadel_server_csr_parsing_err_count"],
  ["bad-input", "citadel_server_csr_sign_err_count"],
  ["internal", "citadel_server_csr_sign_err_count"],
] as const)("a request refused for %s is one of %s", async (code, name) => {
  const metrics = createControlMetrics("0");
  metrics.issuance.requested();
  metrics.issuance.refused(code);
  const facts = {
    nowMs: 0,
    connectedSidecars: 0,
    services: 0,
    policyRevision: null,
    policyFaults: 0,
    registryFaults: 0,
    cluster: null,
    notAfterMs: { root: 0, intermediate: 0, serving: 0 },
  };
  let text = "";
  for await (const piece of await metrics.expose(facts, { format: "text", nowMs: () => 0 })) text += piece;
  const ends = text.match(/^citadel_server_(?!csr_count|\w*expiry)\w+ 1$/gm);
  expect(ends).toEqual([`${name} 1`]);
  expect(valueOf(text, "citadel_server_csr_count")).toBe(1);
  expect(text).not.toContain("cardea_policy_revision_info{");
});

describe("the exposition", () => {
  const hasPromtool = spawnSync("promtool", ["--version"]).error === undefined;
  test.skipIf(!hasPromtool)(
    "is accepted by `promtool check metrics` (skipped where promtool is not installed)",
    async () => {
      await joined("orders");
      const { status, stderr } = spawnSync("promtool", ["check", "metrics"], {
        input: await scrape(),
        encoding: "utf8",
      });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    },
  );

  test("has every metric of the table, and titles each once", async () => {
    await joined("orders");
    const titled = [...(await scrape()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]);
    expect(new Set(titled.map(([name]) => name)).size).toBe(titled.length);
    const types = new Map(titled as [string, string][]);
    for (const [name, { type }] of Object.entries(CONTROL_METRIC_TABLE)) {
      const shown = type === "counter" && !name.endsWith("_total") ? "untyped" : type;
      expect({ name, type: types.get(name) }).toEqual({ name, type: shown });
    }
  });

  test("has the process's own metrics, those that a sidecar has among them", async () => {
    const text = await scrape();
    const own = ["process_cpu_seconds_total", "process_start_time_seconds", "nodejs_heap_size_used_bytes"];
    for (const name of [...own, "nodejs_eventloop_lag_p99_seconds", "cardea_event_loop_active_seconds_total"])
      expect({ name, isPositive: (valueOf(text, name) ?? 0) > 0 }).toEqual({ name, isPositive: true });
    expect(valueOf(text, `cardea_build_info{version="0.0.0-test",node_version="${process.version}"}`)).toBe(1);
  });

  test("tells no secret: neither token nor key, and no identity", async () => {
    await joined("orders");
    expect(await scrape()).not.toMatch(/PRIVATE|Bearer|spiffe:/);
  });
});
