import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  type ChildOptions,
  isRunning,
  readOwnName,
  signalProcess,
  startChild,
} from "../../../src/io/child-processes.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-child-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const logFile = (): string => join(directory, "child.log");
const logged = (): string => readFileSync(logFile(), "utf8");

function shell(script: string, more: Partial<ChildOptions> = {}): ChildOptions {
  const env = { PATH: process.env["PATH"]! };
  return {
    program: "sh",
    args: ["-c", script],
    cwd: directory,
    env,
    output: { file: logFile() },
    isOwnGroup: true,
    ...more,
  };
}

test("a child's exit code and its output in both streams are kept", async () => {
  const child = await startChild(shell("echo out; echo err >&2; exit 7"));
  expect(await child.exited).toEqual({ code: 7, signal: null });
  expect(logged()).toBe("out\nerr\n");
});

test("a log is appended to", async () => {
  await (await startChild(shell("echo one"))).exited;
  await (await startChild(shell("echo two"))).exited;
  expect(logged()).toBe("one\ntwo\n");
});

test("a child has the surroundings that it was given and no others", async () => {
  await (await startChild(shell("echo $X-$HOME", { env: { PATH: process.env["PATH"]!, X: "1" } }))).exited;
  expect(logged()).toBe("1-\n");
});

test("a program that is not there is named", async () => {
  await expect(startChild(shell("", { program: "no-such-program" }))).rejects.toMatchObject({
    code: "bad-input",
    message: "no-such-program cannot be started: no such program",
  });
});

test("a signal reaches all that a child with a group of its own has begun", async () => {
  const child = await startChild(shell("sleep 600 & echo $!; wait"));
  await vi.waitUntil(() => /\d+\n/.test(logged()), { timeout: 5_000, interval: 5 });
  const grandchild = Number(logged());
  child.signal("SIGTERM");
  expect((await child.exited).signal).toBe("SIGTERM");
  await vi.waitUntil(() => hasEnded(grandchild), { timeout: 5_000, interval: 5 });
});

test("a process is known by its start time as well", async () => {
  const child = await startChild(shell("exec sleep 600"));
  expect(await isRunning(child.name)).toBe(true);
  expect(await isRunning({ ...child.name, startTime: "1" })).toBe(false);
  expect(await signalProcess({ ...child.name, startTime: "1" }, "SIGKILL")).toBe(false);
  expect(await signalProcess(child.name, "SIGKILL")).toBe(true);
  expect((await child.exited).signal).toBe("SIGKILL");
  expect(await isRunning(child.name)).toBe(false);
  expect(await signalProcess(child.name, "SIGKILL")).toBe(false);
});

test("we know ourselves", async () => {
  const own = await readOwnName();
  expect(own.pid).toBe(process.pid);
  expect(await isRunning(own)).toBe(true);
});

function hasEnded(pid: number): boolean {
  try {
    // Its parent is gone, and a container's first process may not collect it: a zombie has ended, too.
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return true;
  }
}
