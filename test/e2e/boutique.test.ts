import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Edge, nameEnd } from "../../src/control/flows/edge.ts";
import { cardea } from "../support/cardea.ts";
import { corpusPath } from "../support/corpus.ts";
import { curl } from "../support/curl.ts";
import { eventually, startMeshAt, type TestMesh } from "../support/local-mesh.ts";

// deploy/local/boutique.yaml with a recording, twice: watched, and then under the policies that were suggested of it.

const LOCAL = fileURLToPath(new URL("../../deploy/local/", import.meta.url));
const STAND_IN = join(LOCAL, "services", "replay.js");
const TRACES = corpusPath("traces/online-boutique-1.csv.gz");
const PLAY_TIMEOUT_MS = 120_000;
/** Twenty-four processes start, play and end: on a busy machine that is slow and no fault. */
const TEST_TIMEOUT_MS = 300_000;

/** The mesh file and its policies in a directory of their own, with these policies beside. */
async function startBoutique(enforcement: "AUDIT" | "ENFORCE", learned: string | null): Promise<TestMesh> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-boutique-"));
  cpSync(join(LOCAL, "boutique-policies"), join(directory, "boutique-policies"), { recursive: true });
  if (learned !== null) writeFileSync(join(directory, "boutique-policies", "learned.yaml"), learned);
  const meshFile = join(directory, "boutique.yaml");
  const text = readFileSync(join(LOCAL, "boutique.yaml"), "utf8").replaceAll("services/replay.js", STAND_IN);
  writeFileSync(meshFile, text.replace("enforcement: AUDIT", `enforcement: ${enforcement}`));
  return startMeshAt(directory, meshFile);
}

/** What the frontend's stand-in says when it has played the recording. */
function played(mesh: TestMesh): Promise<string> {
  const log = join(mesh.state, "log", "boutique.frontend.app.log");
  return eventually(() => /^played 1 of 1: .*$/m.exec(readFileSync(log, "utf8"))?.[0] ?? null, PLAY_TIMEOUT_MS);
}

async function edges(mesh: TestMesh, ...words: readonly string[]): Promise<readonly Edge[]> {
  const { stdout } = await mesh.cardea("edges", "--json", "--since", "1h", ...words);
  return stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Edge]));
}

/** `from > to` with a count for each. */
function counted(seen: readonly Edge[], kind: keyof Edge["flows"]): Record<string, number> {
  return Object.fromEntries(
    seen.map(({ source, destination, flows }) => [`${nameEnd(source)} > ${nameEnd(destination)}`, flows[kind]]),
  );
}

/** The recording's calls from one service to another, read by nothing of ours. */
function recordedCalls(path: string): Record<string, number> {
  const rows = gunzipSync(readFileSync(path)).toString().trim().split("\n").slice(1);
  const spans = rows.map((row) => row.split(","));
  const services = new Map(spans.map(([trace, span, , pod]) => [`${trace} ${span}`, pod!.split("-")[0]!]));
  const calls: Record<string, number> = {};
  for (const [trace, span, parent] of spans) {
    const [from, to] = [services.get(`${trace} ${parent}`), services.get(`${trace} ${span}`)];
    if (from === undefined || from === to) continue;
    const edge = `${from} > ${to}`;
    calls[edge] = (calls[edge] ?? 0) + 1;
  }
  return calls;
}

describe.skipIf(TRACES === null)("Online Boutique from recorded traces (skipped without the corpus's traces)", () => {
  let mesh: TestMesh | null = null;
  let suggested = "";
  beforeAll(() => {
    vi.stubEnv("BOUTIQUE_TRACES", TRACES!);
    vi.stubEnv("BOUTIQUE_SPEED", "1000");
    vi.stubEnv("BOUTIQUE_TIMES", "1");
  });
  afterEach(async () => {
    await mesh?.close();
    mesh = null;
  });
  afterAll(() => void vi.unstubAllEnvs());

  test(
    "has the recording's edges and calls and no others, and policies can be suggested of its flows",
    async () => {
      mesh = await startBoutique("AUDIT", null);
      const running = mesh;
      expect(await played(mesh)).toMatch(/497 traces; calls answered as recorded 5008, otherwise 0$/);
      const recorded = recordedCalls(TRACES!);
      expect(Object.keys(recorded)).toHaveLength(13);
      const calls = await eventually(async () => {
        const now = counted(await edges(running), "would-deny");
        return Object.values(now).reduce((sum, count) => sum + count, 0) >= 5_508 ? now : null;
      });
      expect(calls).toEqual(recorded);
      // A service that nobody called, and that called nobody, has no file.
      const files = mesh.run().services.flatMap(({ flowFile }) => (existsSync(flowFile) ? ["--flows", flowFile] : []));
      const { code, stdout, stderr } = await cardea(["policy", "suggest", "--mesh", mesh.meshFile, ...files]);
      expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining("allow 5508 of 5508 flows") });
      suggested = stdout;
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "is denied nothing under what was suggested, and what the recording never had is",
    async () => {
      expect(suggested).not.toBe("");
      mesh = await startBoutique("ENFORCE", suggested);
      const running = mesh;
      expect(await played(mesh)).toMatch(/497 traces; calls answered as recorded 5008, otherwise 0$/);
      expect(await edges(mesh, "--denied")).toEqual([]);
      for (const [from, to, path] of [
        ["adservice", "paymentservice.boutique:50051", "hipstershop.PaymentService/Charge"],
        ["frontend", "cartservice.boutique:7070", "hipstershop.CartService/EmptyCart"],
        ["loadgenerator", "checkoutservice.boutique:5050", "hipstershop.CheckoutService/PlaceOrder"],
      ] as const) {
        const { host, port } = mesh.service(from).outbound;
        const { status } = await curl("-X", "POST", "-x", `http://${host}:${port}`, `http://${to}/${path}`);
        expect({ from, to, status }).toEqual({ from, to, status: 403 });
      }
      const denied = await eventually(async () => {
        const now = await edges(running, "--denied");
        return now.length >= 3 ? now : null;
      });
      expect(counted(denied, "denied")).toEqual({
        "adservice > paymentservice": 1,
        "frontend > cartservice": 1,
        "loadgenerator > checkoutservice": 1,
      });
    },
    TEST_TIMEOUT_MS,
  );
});

describe("a stand-in that cannot play", () => {
  test.each([
    ["without a recording", {}, "BOUTIQUE_TRACES is not set"],
    ["with one that is not there", { BOUTIQUE_TRACES: "/no/such/traces.csv" }, "/no/such/traces.csv cannot be read"],
    ["with a file that is none", { BOUTIQUE_TRACES: STAND_IN }, `${STAND_IN} is not a file of traces`],
  ])("%s says so and ends with 2", async (_, env, why) => {
    expect(await standIn(env)).toEqual({ code: 2, stderr: expect.stringContaining(why) });
  });

  test("at a speed that is none says so and ends with 2", async () => {
    const directory = mkdtempSync(join(tmpdir(), "cardea-boutique-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const recording = join(directory, "traces.json");
    const span = { traceID: "t", spanID: "1", processID: "p", operationName: "GET", startTime: 1 };
    writeFileSync(
      recording,
      JSON.stringify({ data: [{ spans: [span], processes: { p: { serviceName: "frontend" } } }] }),
    );
    const failed = await standIn({ BOUTIQUE_TRACES: recording, BOUTIQUE_SPEED: "-1" });
    expect(failed).toEqual({ code: 2, stderr: expect.stringContaining("BOUTIQUE_SPEED is -1") });
  });
});

/** As `up` runs it, but for the sidecar; it ends before it would need one. */
function standIn(env: Readonly<Record<string, string>>): Promise<{ readonly code: unknown; readonly stderr: string }> {
  return new Promise((done) => {
    const options = { cwd: LOCAL, env: { PATH: process.env["PATH"], ...env }, timeout: 60_000 };
    execFile(process.execPath, [STAND_IN, "boutique.yaml", "frontend"], options, (error, _, stderr) =>
      done({ code: error?.code ?? 0, stderr }),
    );
  });
}
