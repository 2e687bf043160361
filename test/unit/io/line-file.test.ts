import { spawn } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { LineSink } from "../../../src/core/ports.ts";
import { type LineFileOptions, openLineFile } from "../../../src/io/line-file.ts";

/** How many bytes one write takes, and how many there is room for; the real write takes all. */
let writeBytesMax = Number.POSITIVE_INFINITY;
let roomBytes = Number.POSITIVE_INFINITY;
/** How often a path was asked after. */
let stats = 0;
vi.mock("node:fs", async (importOriginal) => {
  const real = await importOriginal<typeof import("node:fs")>();
  type Done = (error: NodeJS.ErrnoException | null, count: number, buffer: Buffer) => void;
  function write(fd: number, bytes: Buffer, offset: number, length: number, position: null, done: Done): void {
    const taken = Math.min(length, writeBytesMax, roomBytes);
    roomBytes -= taken;
    if (taken > 0) real.write(fd, bytes, offset, taken, position, done);
    else setImmediate(done, new Error("ENOSPC: no space left on device"), 0, bytes);
  }
  function stat(at: string, done: (error: NodeJS.ErrnoException | null, found: Stats) => void): void {
    stats++;
    real.stat(at, done);
  }
  return { ...real, write, stat };
});

let directory = "";
let path = "";
const opened: LineSink[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-line-file-"));
  path = join(directory, "flows.jsonl");
});
afterEach(async () => {
  writeBytesMax = Number.POSITIVE_INFINITY;
  roomBytes = Number.POSITIVE_INFINITY;
  for (const sink of opened.splice(0)) await sink.close();
  rmSync(directory, { recursive: true, force: true });
});

describe("a line file", () => {
  test("holds the lines in order once it is closed", async () => {
    const sink = open();
    for (let line = 0; line < 10_000; line++) sink.write(`line ${line}`);
    await sink.close();
    expect(linesOf(path)).toEqual(Array.from({ length: 10_000 }, (_, line) => `line ${line}`));
    expect(sink.dropped).toBe(0);
  });

  test("gets a lone line out by itself, without a close", async () => {
    const sink = open();
    sink.write("a denial");
    await vi.waitFor(() => expect(linesOf(path)).toEqual(["a denial"]), { interval: 2, timeout: 10_000 });
  });

  test("goes on writing after a pause", async () => {
    const sink = open();
    for (const line of ["one", "two", "three"]) {
      sink.write(line);
      await vi.waitFor(() => expect(linesOf(path).at(-1)).toBe(line), { interval: 2, timeout: 10_000 });
    }
  });

  test("appends to what another process left, and keeps a torn line apart", async () => {
    writeFileSync(path, 'whole\n{"torn":');
    const sink = open();
    sink.write("next");
    await sink.close();
    expect(linesOf(path)).toEqual(["whole", '{"torn":', "next"]);
  });

  test("is the owner's alone to read", async () => {
    const sink = open();
    sink.write("who called whom");
    await sink.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("is rotated before it grows over its limit, and keeps one predecessor", async () => {
    const sink = open({ fileBytesMax: 100 });
    for (let round = 0; round < 4; round++) {
      sink.write(`${round}`.repeat(59));
      await vi.waitFor(() => expect(linesOf(path)).toEqual([`${round}`.repeat(59)]), { interval: 2, timeout: 10_000 });
    }
    expect(linesOf(`${path}.1`)).toEqual(["2".repeat(59)]);
    expect(existsSync(`${path}.2`)).toBe(false);
  });

  test.each([
    ["removed", () => unlinkSync(path)],
    ["moved away", () => renameSync(path, `${path}.moved`)],
  ])("is made again after it was %s", async (_how, disturb) => {
    const sink = open({ lookAgainMs: 0 });
    sink.write("before");
    await vi.waitFor(() => expect(linesOf(path)).toEqual(["before"]), { interval: 2, timeout: 10_000 });
    disturb();
    sink.write("after");
    await sink.close();
    expect(linesOf(path)).toEqual(["after"]);
  });

  test("looks now and then whether it was moved, and until then loses nothing", async () => {
    const sink = open();
    sink.write("before");
    await vi.waitFor(() => expect(linesOf(path)).toEqual(["before"]), { interval: 2, timeout: 10_000 });
    stats = 0;
    renameSync(path, `${path}.moved`);
    sink.write("within the second");
    await vi.waitFor(() => expect(linesOf(`${path}.moved`)).toEqual(["before", "within the second"]), {
      interval: 2,
      timeout: 10_000,
    });
    expect(stats).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  test("sees at once that it was removed, where what is written would be lost", async () => {
    const sink = open();
    sink.write("before");
    await vi.waitFor(() => expect(linesOf(path)).toEqual(["before"]), { interval: 2, timeout: 10_000 });
    unlinkSync(path);
    sink.write("after");
    await sink.close();
    expect(linesOf(path)).toEqual(["after"]);
  });

  test("is whole although the kernel takes a few bytes at a time", async () => {
    writeBytesMax = 3;
    const sink = open();
    for (let line = 0; line < 50; line++) sink.write(`line ${line}`);
    await sink.close();
    expect(linesOf(path)).toEqual(Array.from({ length: 50 }, (_, line) => `line ${line}`));
  });

  test.each([
    ["goes on in the middle of a line when there is room again", () => undefined, ["first", "second", "third"]],
    ["begins a torn line again when its file has gone meanwhile", () => unlinkSync(path), ["second", "third"]],
  ])("%s", async (_name, disturb, lines) => {
    const troubles: string[] = [];
    roomBytes = "first\nsec".length;
    const sink = open({ onTrouble: (message) => troubles.push(message) });
    for (const line of ["first", "second", "third"]) sink.write(line);
    await vi.waitFor(() => expect(troubles).toHaveLength(1), { interval: 2, timeout: 10_000 });
    disturb();
    roomBytes = Number.POSITIVE_INFINITY;
    await sink.close();
    expect(linesOf(path)).toEqual(lines);
    expect(sink.dropped).toBe(0);
  });
});

describe("when lines cannot be written", () => {
  test("a full disk loses nothing that the backlog holds, is told once, and so is its end", async () => {
    const troubles: string[] = [];
    symlinkSync("/dev/full", path);
    const sink = open({ onTrouble: (message) => troubles.push(message), retryMs: 1 });
    sink.write("one");
    await vi.waitFor(() => expect(troubles).toEqual([expect.stringContaining("ENOSPC")]), {
      interval: 2,
      timeout: 10_000,
    });
    sink.write("two");
    unlinkSync(path);
    await vi.waitFor(() => expect(linesOf(path)).toEqual(["one", "two"]), { interval: 2, timeout: 10_000 });
    expect(troubles).toEqual([expect.stringContaining(path), `${path} is written again`]);
    expect(sink.dropped).toBe(0);
  });

  test("a directory that is not there is waited for", async () => {
    const late = join(directory, "late");
    const troubles: string[] = [];
    const sink = open({ path: join(late, "flows.jsonl"), onTrouble: (message) => troubles.push(message), retryMs: 1 });
    sink.write("patience");
    await vi.waitFor(() => expect(troubles).toEqual([expect.stringContaining("ENOENT")]), {
      interval: 2,
      timeout: 10_000,
    });
    symlinkSync(directory, late);
    await vi.waitFor(() => expect(linesOf(path)).toEqual(["patience"]), { interval: 2, timeout: 10_000 });
  });

  test("lines over the backlog's limit are dropped and counted", async () => {
    const sink = open({ backlogLinesMax: 10 });
    for (let line = 0; line < 25; line++) sink.write(`line ${line}`);
    expect(sink.dropped).toBe(15);
    await sink.close();
    expect(linesOf(path)).toHaveLength(10);
  });

  test("very long lines are bounded by their bytes", () => {
    const sink = open({ path: "/dev/full" });
    const long = "x".repeat(1_048_576);
    for (let line = 0; line < 40; line++) sink.write(long);
    expect(sink.dropped).toBe(8);
  });

  test("closing on a full disk ends, and counts what was lost", async () => {
    const sink = open({ path: "/dev/full" });
    for (let line = 0; line < 7; line++) sink.write(`line ${line}`);
    await sink.close();
    expect(sink.dropped).toBe(7);
  });

  test("a line after the close is dropped and counted", async () => {
    const sink = open();
    await sink.close();
    sink.write("too late");
    expect(sink.dropped).toBe(1);
    expect(existsSync(path)).toBe(false);
  });
});

describe("standard output as a line file", () => {
  const program = `
    import { openLineFile } from ${JSON.stringify(join(import.meta.dirname, "../../../src/io/line-file.ts"))};
    const sink = openLineFile({ path: null });
    for (let line = 0; line < 20000; line++) sink.write("line " + line);
    await sink.close();
    process.stderr.write(String(sink.dropped));`;

  test("gives a pipe every line", async () => {
    const { stdout, stderr } = await run(program, "read all");
    expect(stdout.trimEnd().split("\n")).toEqual(Array.from({ length: 20_000 }, (_, line) => `line ${line}`));
    expect(stderr).toBe("0");
  });

  test("survives a reader that goes away, and counts", async () => {
    const { code, stderr } = await run(program, "close at once");
    expect(code).toBe(0);
    expect(Number(stderr)).toBeGreaterThan(0);
  });
});

function open(options: Partial<LineFileOptions> = {}): LineSink {
  const sink = openLineFile({ path, ...options });
  opened.push(sink);
  return sink;
}

function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
}

function run(
  source: string,
  reading: "read all" | "close at once",
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    if (reading === "close at once") child.stdout.destroy();
    else child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}
