import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cardea, type Finished } from "../support/cardea.ts";
import { PORT_BASE } from "../support/local-mesh.ts";
import { childrenCpuMs, processesOf } from "../support/processes.ts";

// The promise of the front page: one command, a whole mesh, an attack that fails and explains itself.

const ATTEMPTS = 9;
const TIME_MAX_MS = 30_000;

let home = "";
let finished: Finished;
let tookMs = 0;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "cardea-once-"));
  const startedMs = performance.now();
  finished = await cardea(["up", "--once", "--json", "--port-base", PORT_BASE], { env: environment() });
  tookMs = performance.now() - startedMs;
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** A user of this very home, and temporary files of our own to look into. */
function environment(): Record<string, string | undefined> {
  return { HOME: home, XDG_STATE_HOME: undefined, CARDEA_STATE: undefined, TMPDIR: join(home, "tmp") };
}

function lines(): readonly Record<string, unknown>[] {
  return finished.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("it ends well, in time, and the last line is the summary", () => {
  expect(finished, finished.stderr).toMatchObject({ code: 0, signal: null });
  expect(tookMs).toBeLessThan(TIME_MAX_MS);
  const summary = lines().at(-1)!;
  expect(summary).toMatchObject({ unexpected: 0, failures: [] });
  expect(summary["identities"]).toEqual([
    "spiffe://cluster.local/ns/ledger/sa/ledger",
    "spiffe://cluster.local/ns/payments/sa/payments",
    "spiffe://cluster.local/ns/shop/sa/orders",
    "spiffe://cluster.local/ns/shop/sa/web",
  ]);
});

test("what was allowed is the traffic, what was denied is the breach", () => {
  const summary = lines().at(-1)!;
  // Five visits: ten looks at the orders, five orders, each with a payment and an entry in the ledger; and the stream.
  expect(summary["allowed"]).toBeGreaterThanOrEqual(10 + 3 * 5);
  expect(summary["denied"]).toBeGreaterThanOrEqual(ATTEMPTS);
});

test("every attempt is denied, each with an id of its own", () => {
  expect(attempts()).toHaveLength(ATTEMPTS);
  for (const attempt of attempts())
    expect(attempt).toMatchObject({ denied: true, denial: expect.stringMatching(/^[0-9a-f]{16}$/) as string });
  expect(new Set(attempts().map((attempt) => attempt["denial"])).size).toBe(ATTEMPTS);
});

describe("each denial explains itself afterwards", () => {
  test("in under a second, with file and line of the policy that decided", async () => {
    const [wallMs, cpuMs] = [performance.now(), childrenCpuMs()];
    const { stdout } = await explain(attempts().find((attempt) => attempt["attempt"] === "admin-path")!);
    const explained = { wallMs: performance.now() - wallMs, cpuMs: childrenCpuMs() - cpuMs };
    expect(stdout).toMatch(/payments\.yaml:\d+/);
    process.stdout.write(`explained in ${Math.round(explained.wallMs)} ms, ${explained.cpuMs} of them at work\n`);
    // Processor time: a machine that has other things to do makes everything slower, and nothing worse.
    expect(explained.cpuMs).toBeLessThan(1_000);
  });

  test("whoever denied it, and why ever", async () => {
    for (const { stdout, stderr } of await Promise.all(attempts().map(explain))) {
      expect(stderr).toBe("");
      expect(stdout).toMatch(/^DENIED/m);
    }
  });
});

function attempts(): readonly Record<string, unknown>[] {
  return lines().filter((line) => line["event"] === "attempt");
}

function explain(attempt: Record<string, unknown>): Promise<Finished> {
  return cardea(["explain", String(attempt["denial"])], { env: environment() });
}

test("no process stays, and no file outside the state directory", () => {
  const state = join(home, ".local", "state", "cardea", "local");
  expect(existsSync(join(state, "run.json"))).toBe(true);
  expect(readdirSync(home)).toEqual([".local"]);
  expect(readdirSync(join(home, ".local", "state", "cardea"))).toEqual(["local"]);
  expect(processesOf(state)).toEqual([]);
});
