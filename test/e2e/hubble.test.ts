import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { curl } from "../support/curl.ts";
import { startTestMesh, type TestMesh } from "../support/local-mesh.ts";
import { type ProgramResult, runProgram } from "../support/programs.ts";

// Hubble's own command line, over the flows of a real mesh. It runs where the program is given: HUBBLE.

const HUBBLE = process.env["HUBBLE"] ?? "";

interface Told {
  readonly flow?: {
    readonly uuid: string;
    readonly verdict: string;
    readonly drop_reason_desc?: string;
    readonly traffic_direction: string;
    readonly source: { readonly namespace?: string; readonly pod_name?: string; readonly labels: readonly string[] };
    readonly destination: { readonly namespace?: string; readonly pod_name?: string };
    readonly l7?: { readonly http?: { readonly code?: number; readonly method: string; readonly url: string } };
    readonly extensions?: { readonly value: Readonly<Record<string, unknown>> };
  };
}

describe.skipIf(HUBBLE === "")("hubble (needs HUBBLE, the path of its command line)", () => {
  let mesh: TestMesh;

  beforeAll(async () => {
    mesh = await startTestMesh();
    await vi.waitFor(() => expect(mesh.attempts()).toBeGreaterThanOrEqual(9), 60_000);
    // What the breach did last is in the store.
    await vi.waitFor(
      async () => expect((await flows("--verdict", "DROPPED")).length).toBeGreaterThanOrEqual(8),
      30_000,
    );
  }, 120_000);

  afterAll(() => mesh.close());

  function words(...rest: readonly string[]): readonly string[] {
    const { host, port } = mesh.run().control.hubble!;
    return [...rest, "--server", `${host}:${port}`];
  }

  function hubble(...rest: readonly string[]): Promise<ProgramResult> {
    return runProgram(HUBBLE, words(...rest));
  }

  async function flows(...rest: readonly string[]) {
    const { code, stdout, stderr } = await hubble("observe", "-o", "json", ...rest);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.split("\n").filter((line) => line !== "");
    return lines.map((line) => (JSON.parse(line) as Told).flow!);
  }

  test("status finds us healthy, with flows", async () => {
    const { code, stdout } = await hubble("status");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Healthcheck \(via [\d.:]+\): Ok\nCurrent\/Max Flows: [1-9]\d*\//);
    expect(stdout).toContain("Connected Nodes: 1/1");
  });

  test("list knows the node and the namespaces", async () => {
    const nodes = await hubble("list", "nodes");
    expect(nodes.stdout).toMatch(/cardea-control\s+Connected/);
    const { stdout } = await hubble("list", "namespaces");
    expect(stdout.trim().split(/\s+/)).toEqual(expect.arrayContaining(["ledger", "payments", "shop"]));
  });

  test("observe shows the newest, and --last so many of them", async () => {
    expect(await flows()).not.toEqual([]);
    expect(await flows("--last", "3")).toHaveLength(3);
    expect(await flows("--first", "2")).toHaveLength(2);
  });

  test("--verdict DROPPED shows the denials, each with what explains it", async () => {
    const written = mesh.flows().filter(({ verdict }) => verdict === "denied");
    const told = await flows("--verdict", "DROPPED", "--all");
    expect(told.map(({ uuid }) => uuid)).toEqual(expect.arrayContaining(written.map(({ id }) => id)));
    expect(told.filter(({ drop_reason_desc: why }) => why === undefined)).toEqual([]);
    const { stdout, code } = await mesh.cardea("explain", told[0]!.uuid);
    expect(code).toBe(0);
    expect(stdout).not.toBe("");
  });

  test.each<[readonly string[], (flow: NonNullable<Told["flow"]>) => boolean]>([
    [["--from-pod", "shop/web"], ({ source }) => source.namespace === "shop" && source.pod_name === "web"],
    [
      ["--namespace", "ledger"],
      ({ source, destination }) => source.namespace === "ledger" || destination.namespace === "ledger",
    ],
    [["--to-namespace", "payments"], ({ destination }) => destination.namespace === "payments"],
    [["--protocol", "http"], ({ l7 }) => l7?.http !== undefined],
    [["--not", "--protocol", "http"], ({ l7 }) => l7 === undefined],
    [["--http-status", "403"], ({ l7 }) => l7?.http?.code === 403],
    [["--http-method", "POST"], ({ l7 }) => l7?.http?.method === "POST"],
    [["--http-path", "^/orders$"], ({ l7 }) => l7?.http?.url.endsWith("/orders") === true],
    [["--traffic-direction", "ingress"], ({ traffic_direction: direction }) => direction === "INGRESS"],
    [["--from-identity", "world"], ({ source }) => source.labels.includes("reserved:world")],
    [["--from-label", "app=web"], ({ source }) => source.labels.includes("k8s:app=web")],
    [["--type", "drop"], ({ verdict }) => verdict === "DROPPED"],
    [["--drop-reason-desc", "UNENCRYPTED_TRAFFIC"], (flow) => flow.drop_reason_desc === "UNENCRYPTED_TRAFFIC"],
  ])("%j shows those and no others", async (asked, isWanted) => {
    const told = await flows("--all", ...asked);
    expect(told.length).toBeGreaterThan(0);
    expect(told.filter((flow) => !isWanted(flow))).toEqual([]);
  });

  test.each([
    ["--namespace", "nowhere"],
    ["--from-pod", "web"],
    ["--to-identity", "host"],
    ["--http-path", "^/nowhere$"],
    ["--protocol", "udp"],
    ["--node-name", "other/"],
    ["--until", "2001-01-01T00:00:00Z"],
  ])("%s %s shows nothing", async (...asked) => {
    expect(await flows("--all", ...asked)).toEqual([]);
  });

  test.each([
    [["--tcp-flags", "SYN"], "tcp_flags"],
    [["--cel-expression", "true"], "experimental"],
    [["--http-header", "a:b"], "http_header"],
    [["--node-label", "a=b"], "node_labels"],
    [["--interface", "eth0"], "interface"],
    [["--last", "999999"], "number"],
  ])("%j cannot be answered, and that is said: %s", async (asked, name) => {
    const { code, stdout, stderr } = await hubble("observe", ...asked);
    expect({ isFine: code === 0, stdout }).toEqual({ isFine: false, stdout: "" });
    expect(stderr).toContain("InvalidArgument");
    expect(stderr).toContain(name);
  });

  test("agents and debuggers of Cilium are not here", async () => {
    for (const what of ["agent-events", "debug-events"])
      expect((await hubble("observe", what)).stderr).toContain("Unimplemented");
  });

  test.each(["compact", "dict", "table", "jsonpb"])("-o %s shows who called whom", async (format) => {
    const asked = ["--last", "1", "--from-pod", "shop/web", "--to-pod", "shop/orders"];
    const { code, stdout, stderr } = await hubble("observe", "-o", format, ...asked);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("web");
    expect(stdout).toContain("orders");
  });

  test("--follow shows a denial as it happens", async () => {
    const child = spawn(HUBBLE, words("observe", "--follow", "-o", "json", "--verdict", "DROPPED"));
    const ended = once(child, "exit");
    const lines = createInterface({ input: child.stdout });
    const seen: string[] = [];
    lines.on("line", (line) => seen.push((JSON.parse(line) as Told).flow!.l7?.http?.url ?? ""));
    const { outbound } = mesh.service("web");
    // Until the first is seen: the reader may not have arrived when it was made.
    await vi.waitFor(async () => {
      await curl("-x", `http://127.0.0.1:${outbound.port}`, "http://orders.shop:8080/internal/export/followed");
      expect(seen).toContain("http://orders.shop:8080/internal/export/followed");
    }, 30_000);
    child.kill("SIGINT");
    await ended;
    expect(seen.filter((url) => url === "")).toEqual([]);
  });
});
