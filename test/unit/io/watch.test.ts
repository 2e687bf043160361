import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Watching, watchDirectory } from "../../../src/io/watch.ts";

let directory = "";
let watching: Watching | null = null;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-watch-"));
});
afterEach(() => {
  watching?.close();
  rmSync(directory, { recursive: true, force: true });
});

function watchNow(path: string): () => number {
  let calls = 0;
  watching = watchDirectory(path, { debounceMs: 10, recheckMs: 20 }, () => {
    calls += 1;
  });
  return () => calls;
}

async function seenSince(calls: () => number, before: number): Promise<void> {
  await vi.waitUntil(() => calls() > before, { timeout: 5_000, interval: 5 });
}

test("a file that is written, replaced or deleted is noticed", async () => {
  const calls = watchNow(directory);
  const steps = [
    () => writeFileSync(join(directory, "a.yaml"), "1"),
    () => writeFileSync(join(directory, "a.yaml"), "2"),
    () => {
      writeFileSync(join(directory, ".draft"), "3");
      renameSync(join(directory, ".draft"), join(directory, "a.yaml"));
    },
    () => writeFileSync(join(directory, "a.yaml"), "4"),
    () => rmSync(join(directory, "a.yaml")),
  ];
  for (const step of steps) {
    const before = calls();
    step();
    await seenSince(calls, before);
  }
});

test("a file in a directory that was made later is noticed", async () => {
  const calls = watchNow(directory);
  mkdirSync(join(directory, "inner"));
  await seenSince(calls, 0);
  const before = calls();
  writeFileSync(join(directory, "inner", "b.yaml"), "1");
  await seenSince(calls, before);
});

test("a directory that is replaced by another is watched on", async () => {
  const inner = join(directory, "policies");
  mkdirSync(inner);
  const calls = watchNow(inner);
  rmSync(inner, { recursive: true });
  mkdirSync(inner);
  await seenSince(calls, 0);
  const before = calls();
  writeFileSync(join(inner, "a.yaml"), "1");
  await seenSince(calls, before);
});

test("a directory that is not there yet is noticed when it comes", async () => {
  const inner = join(directory, "later");
  const calls = watchNow(inner);
  mkdirSync(inner);
  await seenSince(calls, 0);
});

test("after close nothing is called", async () => {
  const calls = watchNow(directory);
  writeFileSync(join(directory, "a"), "1");
  watching?.close();
  const other = join(directory, "..");
  let later = 0;
  watching = watchDirectory(other, { debounceMs: 30 }, () => {
    later += 1;
  });
  writeFileSync(join(directory, "b"), "1");
  await vi.waitUntil(() => later > 0, { timeout: 5_000, interval: 5 });
  expect(calls()).toBe(0);
});

test("a directory that is written to without a pause is told of all the same", async () => {
  let calls = 0;
  watching = watchDirectory(directory, { debounceMs: 60_000, delayMaxMs: 10 }, () => {
    calls += 1;
  });
  const write = () => writeFileSync(join(directory, "a.yaml"), String(Math.random()));
  const seen = () => {
    write();
    return calls > 0;
  };
  await vi.waitUntil(seen, { timeout: 5_000, interval: 5 });
});
