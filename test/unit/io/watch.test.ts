import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Watching, watchDirectory } from "../../../src/io/watch.ts";

/** How many events Linux keeps for a process that does not read them. */
const QUEUE_LENGTH = "/proc/sys/fs/inotify/max_queued_events";
/** Until then only events can tell. */
const NEVER_MS = 2 ** 30;

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
  let later = 0;
  watching = watchDirectory(directory, { debounceMs: 30 }, () => {
    later += 1;
  });
  writeFileSync(join(directory, "b"), "1");
  await vi.waitUntil(() => later > 0, { timeout: 5_000, interval: 5 });
  expect(calls()).toBe(0);
});

test("a directory that is written to without a pause is told of all the same", async () => {
  let calls = 0;
  watching = watchDirectory(directory, { debounceMs: 60_000, delayMaxMs: 10, recheckMs: NEVER_MS }, () => {
    calls += 1;
  });
  writeFileSync(join(directory, "a.yaml"), "1");
  await seenSince(() => calls, 0);
});

describe("by events alone", () => {
  test("the one write that comes right behind the watch is noticed", async () => {
    writeFileSync(join(directory, "a.yaml"), "1");
    const calls = watchEvents(directory);
    writeFileSync(join(directory, "a.yaml"), "2");
    await seenSince(calls, 0);
  });

  test("directories that were made in one go are watched before they are told of", async () => {
    const calls = watchEvents(directory);
    const deepest = join(directory, "a", "b", "c");
    mkdirSync(deepest, { recursive: true });
    writeFileSync(join(deepest, "d.yaml"), "1");
    await seenSince(calls, 0);
    const before = calls();
    writeFileSync(join(deepest, "d.yaml"), "2");
    await seenSince(calls, before);
  });

  test("a link that is swapped, as Kubernetes swaps a ConfigMap, is noticed", async () => {
    mkdirSync(join(directory, "..1"));
    mkdirSync(join(directory, "..2"));
    symlinkSync("..1", join(directory, "..data"));
    const calls = watchEvents(directory);
    symlinkSync("..2", join(directory, "..data_tmp"));
    renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
    await seenSince(calls, 0);
  });
});

describe("without an event", () => {
  test("what changes behind a link is noticed", async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "cardea-linked-"));
    onTestFinished(() => rmSync(elsewhere, { recursive: true }));
    writeFileSync(join(elsewhere, "a.yaml"), "1");
    symlinkSync(join(elsewhere, "a.yaml"), join(directory, "a.yaml"));
    const calls = watchNow(directory);
    writeFileSync(join(elsewhere, "a.yaml"), "22");
    await seenSince(calls, 0);
  });

  test.runIf(existsSync(QUEUE_LENGTH))(
    "what the kernel has dropped from its full queue is noticed (needs inotify)",
    async () => {
      const [busy, quiet] = [join(directory, "busy"), join(directory, "quiet")];
      for (const path of [busy, quiet]) mkdirSync(path);
      const names = ["1", "2"].map((name) => join(busy, name));
      for (const name of names) writeFileSync(name, "");
      const noise = watchDirectory(busy, { debounceMs: 1 }, () => {});
      onTestFinished(() => noise.close());
      const calls = watchNow(quiet);
      // In one turn, so that nobody reads the queue, which all watches of a process share. Events alike become one, so two.
      for (let i = Number(readFileSync(QUEUE_LENGTH, "utf8")); i >= 0; i--) utimesSync(names[i % 2]!, i, i);
      writeFileSync(join(quiet, "a.yaml"), "1");
      await seenSince(calls, 0);
    },
  );

  test("nothing is told of what has been told", async () => {
    const calls = watchNow(directory);
    writeFileSync(join(directory, "a.yaml"), "1");
    await seenSince(calls, 0);
    // Looks after looks: each would find what the first call had not taken note of.
    for (let i = 0; i < 5; i++) await looked();
    expect(calls()).toBe(1);
  });
});

function watchEvents(path: string): () => number {
  let calls = 0;
  watching = watchDirectory(path, { debounceMs: 1, recheckMs: NEVER_MS }, () => {
    calls += 1;
  });
  return () => calls;
}

/** Another watch of the same pace has come round, at the least. */
async function looked(): Promise<void> {
  const other = mkdtempSync(join(tmpdir(), "cardea-paced-"));
  const file = join(other, "target");
  const linking = join(other, "in");
  mkdirSync(linking);
  writeFileSync(file, "1");
  symlinkSync(file, join(linking, "link"));
  let calls = 0;
  const pace = watchDirectory(linking, { debounceMs: 1, recheckMs: 20 }, () => {
    calls += 1;
  });
  writeFileSync(file, "22");
  await seenSince(() => calls, 0);
  pace.close();
  rmSync(other, { recursive: true });
}
