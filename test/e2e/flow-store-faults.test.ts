import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FlowStore } from "../../src/control/flows/store.ts";
import { openDatabaseFiles } from "../../src/io/database-files.ts";

const WRITER = join(import.meta.dirname, "..", "support", "flow-writer.ts");
const EXPORTED = 1_000;

let directory: string;
let writer: ChildProcess | null;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-faults-"));
  writer = null;
});

afterEach(() => {
  writer?.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

/** Everything it says, line by line. */
function start(command: string, words: readonly string[]): AsyncIterator<string> {
  writer = spawn(command, words, { stdio: ["pipe", "pipe", "inherit"] });
  return createInterface({ input: writer.stdout! })[Symbol.asyncIterator]();
}

async function nextLine(lines: AsyncIterator<string>, isIt: (line: string) => boolean): Promise<string> {
  for (;;) {
    const { value, done } = await lines.next();
    if (done === true) throw new Error("the writer has ended");
    if (isIt(value)) return value;
  }
}

function reopened() {
  const said: string[] = [];
  const store = new FlowStore({
    files: openDatabaseFiles(directory, ".db"),
    retentionMs: 86_400_000,
    bytesMax: 1e9,
    nowMs: () => Date.now(),
    log: (_level, event) => said.push(event),
  });
  return { store, said };
}

function storedIds(store: FlowStore): ReadonlySet<number> {
  const ids = new Set<number>();
  for (let cursor: string | undefined; ; ) {
    const page = store.flows({ filter: {}, namespaces: "all", limit: 1_000, ...(cursor && { cursor }) });
    for (const { id } of page.flows) ids.add(Number.parseInt(id, 16));
    if (page.cursor === null) return ids;
    ({ cursor } = page);
  }
}

describe("a store that is killed in the middle of writing", () => {
  // At other moments of its transactions each time.
  test.each([EXPORTED, EXPORTED + 150, EXPORTED + 450])(
    "after %i denials has all that it said were stored",
    async (count) => {
      const lines = start(process.execPath, [WRITER, directory]);
      const told = Number(await nextLine(lines, (line) => Number(line) >= count));
      writer!.kill("SIGKILL");
      await once(writer!, "exit");
      const { store, said } = reopened();
      const ids = storedIds(store);
      for (let i = 0; i < told; i++) expect(ids.has(i)).toBe(true);
      const { edges } = store.edges({ fromMs: 0, toMs: Date.now() + 60_000, namespaces: "all" });
      expect(edges.reduce((sum, { flows }) => sum + flows, 0)).toBe(ids.size);
      expect(said).toEqual([]);
      store.close();
    },
    60_000,
  );
});

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)("a disk that is full (needs root, for a small one of its own)", () => {
  test("is said to whoever stores, costs nothing of what was stored, and goes by", async () => {
    const setUp = `mount -t tmpfs -o size=2m none '${directory}' && head -c 1048576 /dev/zero > '${directory}/ballast' && exec "$0" "$@"`;
    const lines = start("unshare", ["-m", "sh", "-c", setUp, process.execPath, WRITER, directory]);
    let told = 0;
    const line = await nextLine(lines, (each) => {
      told = Math.max(told, Number(each) || 0);
      return !/^\d+$/.test(each);
    });
    expect(line).toBe("disk-full");
    expect(told).toBeGreaterThan(0);
    const inside = `/proc/${writer!.pid}/root${directory}`;
    rmSync(`${inside}/ballast`);
    writer!.stdin!.write("\n");
    const later = Number(await nextLine(lines, (each) => Number(each) > told));
    expect(later).toBe(told + 50);
    writer!.kill("SIGKILL");
    await once(writer!, "exit").catch(() => {});
  }, 60_000);
});
