import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { curl } from "../support/curl.ts";
import { eventually } from "../support/local-mesh.ts";
import {
  type LoneSidecar,
  type LoneSidecarPlace,
  prepareLoneSidecar,
  startLoneSidecar,
} from "../support/lone-sidecar.ts";

// One sidecar alone, whose control plane nobody has ever seen: what it has loaded, and that it refuses everything.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PRELOAD = join(ROOT, "test", "support", "loaded-modules.mjs");
let place: LoneSidecarPlace;
let sidecar: LoneSidecar;

beforeAll(async () => {
  place = await prepareLoneSidecar();
  const env = { LOADED_MODULES: join(place.directory, "modules") };
  sidecar = await startLoneSidecar(place, { flags: ["--import", PRELOAD], env });
});
afterAll(async () => {
  await sidecar.end("SIGTERM");
  place.remove();
});

describe("a sidecar loads what a sidecar needs", () => {
  test("of our own: the data path, what it is told and shows, and one command", () => {
    const rooms = [...new Set(own().map((path) => path.split("/")[1]!))].toSorted();
    expect(rooms).toEqual([
      "api",
      "cli",
      "config",
      "core",
      "io",
      "main.ts",
      "observe",
      "pki",
      "policy",
      "proxy",
      "traffic",
      "wire",
    ]);
    expect(own().filter((path) => path.startsWith("src/cli/"))).toEqual([
      "src/cli/args.ts",
      "src/cli/commands.ts",
      "src/cli/exit-code.ts",
      "src/cli/help.ts",
      "src/cli/proxy.ts",
      "src/cli/sidecar-admin.ts",
      "src/cli/sidecar-paths.ts",
      "src/cli/terminal.ts",
      "src/cli/version.ts",
    ]);
    expect(own().filter((path) => path.startsWith("src/config/"))).toEqual([
      "src/config/json-text.ts",
      "src/config/pod-variables.ts",
      "src/config/proxy-config.ts",
    ]);
    expect(own().length).toBeLessThan(290);
  });

  test("of others: nothing", () => {
    expect(modules().filter((path) => !path.startsWith("src/"))).toEqual([]);
  });

  test("nothing that reads documents of a kind that it has not been sent", () => {
    const readers = /^src\/(traffic\/(?!default-traffic|kinds|traffic-set)|policy\/authentication\/(?!kinds))/;
    expect(own().filter((path) => readers.test(path))).toEqual([]);
  });

  test("nothing that a pod alone has: probes of the app, redirection", () => {
    expect(own().filter((path) => /probe|health|pod-config|original-dst/.test(path))).toEqual([]);
  });

  test("and nothing of the control plane, of other commands, or of YAML", () => {
    const unwanted =
      /src\/(control|ui)\/|src\/cli\/(up|run|status|flows|policy|local)|config\/(yaml|mesh\.|policy-files)|analysis/;
    expect(own().filter((path) => unwanted.test(path))).toEqual([]);
  });
});

describe("before the first certificate and policy have come", () => {
  test("it says that it is not ready, and why", async () => {
    const { status, body } = await curl(`http://127.0.0.1:${place.ports.readiness}/healthz/ready`);
    expect({ status, body }).toEqual({ status: 503, body: "no certificate yet, no policies yet\n" });
    expect((await curl(`http://127.0.0.1:${place.ports.admin}/certs`)).status).toBe(503);
  });

  test("its metrics are there, at our path and at Istio's", async () => {
    for (const path of ["/metrics", "/stats/prometheus"]) {
      const { status, body } = await curl(`http://127.0.0.1:${place.ports.metrics}${path}`);
      expect({ path, status }).toEqual({ path, status: 200 });
      expect(body).toContain("\nprocess_resident_memory_bytes ");
    }
  });

  test("it lets nothing out", async () => {
    const { status } = await curl("-x", `http://127.0.0.1:${place.ports.outbound}`, "http://orders.shop:8080/");
    expect(status).toBeGreaterThanOrEqual(500);
  });

  test("it lets nothing in, with TLS or without", async () => {
    for (const scheme of ["http", "https"]) {
      const { status } = await curl("-k", `${scheme}://127.0.0.1:${place.ports.inbound}/`);
      expect(status).toBe(0);
    }
  });

  test("it records each of them", async () => {
    const records = await eventually(() => {
      const lines = readFileSync(place.flowFile, "utf8").trim().split("\n");
      return lines.length >= 3 && lines.map((line) => JSON.parse(line) as { verdict: string });
    });
    expect(records.filter((record) => record.verdict === "allowed")).toEqual([]);
  });
});

function own(): readonly string[] {
  return modules().filter((path) => path.startsWith("src/"));
}

/** Paths of the modules that it has loaded, from the project's root, sorted; Node's own are left out. */
function modules(): readonly string[] {
  const urls = readFileSync(join(place.directory, "modules"), "utf8").trim().split("\n");
  const files = urls.filter((url) => url.startsWith("file:")).map((url) => fileURLToPath(url).slice(ROOT.length));
  return [...new Set(files)].filter((path) => path !== "test/support/loaded-modules.mjs").toSorted();
}
