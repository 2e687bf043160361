import { spawn } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startCardea } from "../support/cardea.ts";
import { curl } from "../support/curl.ts";
import { copySample, eventually, PORT_BASE, startTestMesh } from "../support/local-mesh.ts";
import { processesOf } from "../support/processes.ts";

// How a mesh ends, in good order and otherwise: no process may stay, and no file outside its state directory.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** `up` itself, control plane, four sidecars, four apps. */
const PROCESSES = 10;

test("SIGTERM ends every process, in order, with exit 0", async () => {
  const mesh = await startTestMesh();
  expect(pidsOf(mesh.run()).length + 1).toBe(PROCESSES);
  const pids = pidsOf(mesh.run());
  mesh.up.child.kill("SIGTERM");
  const { code, stderr } = await mesh.up.finished;
  expect(code).toBe(0);
  // Another mesh on this machine may have been stepped around before.
  const said = stderr.split("\n").filter((line) => line !== "" && !/\btaken\b/.test(line));
  expect(said).toEqual([expect.stringMatching(/^ending: apps, then sidecars, then the control plane/)]);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(readdirSync(mesh.directory).toSorted()).toEqual(["deploy", "package.json", "policies", "state"]);
  rmSync(mesh.directory, { recursive: true, force: true });
});

test("when `up` itself is killed the others serve on, and a new one takes over", async () => {
  const mesh = await startTestMesh();
  const left = pidsOf(mesh.run());
  mesh.up.child.kill("SIGKILL");
  await mesh.up.finished;
  const { outbound } = mesh.service("web");
  const answer = await curl("-x", `http://127.0.0.1:${outbound.port}`, "http://orders.shop:8080/orders");
  expect(answer.status).toBe(200);
  expect(left.every(isAlive)).toBe(true);
  const { code, stdout } = await mesh.cardea("status");
  expect(code).toBe(1);
  expect(stdout).toContain("the `cardea up` that started this mesh is gone");

  const next = startCardea(["up", mesh.meshFile, "--json", "--state", mesh.state, "--port-base", PORT_BASE]);
  await next.lines.next();
  expect(left.filter(isAlive)).toEqual([]);
  // On the ports of before, so that whoever knew them finds it again.
  expect(mesh.service("web").outbound).toEqual(outbound);
  next.child.kill("SIGTERM");
  const { stderr } = await next.finished;
  expect(stderr).toContain(`left ${left.length} processes; ending them`);
  expect(processesOf(mesh.state)).toEqual([]);
  rmSync(mesh.directory, { recursive: true, force: true });
});

test("^C at `npm start` arrives twice, and is one orderly end", async () => {
  const { directory, meshFile } = copySample();
  const state = join(directory, "state");
  const words = ["start", "--", meshFile, "--json", "--state", state, "--port-base", PORT_BASE];
  // A group of its own, so that a signal to the group is what a terminal's ^C is.
  const npm = spawn("npm", words, { cwd: ROOT, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const lines = createInterface({ input: npm.stdout })[Symbol.asyncIterator]();
  let isUp = false;
  while (!isUp) isUp = (await lines.next()).value?.startsWith('{"event":"up"') ?? true;
  let stderr = "";
  npm.stderr.on("data", (piece: Buffer) => {
    stderr += piece.toString();
  });
  const ended = new Promise((resolve) => void npm.on("exit", resolve));
  process.kill(-npm.pid!, "SIGINT");
  process.kill(-npm.pid!, "SIGINT");
  await ended;
  await eventually(() => processesOf(state).length === 0);
  expect(stderr.match(/^ending: /gm)).toHaveLength(1);
  expect(existsSync(join(state, "run.json"))).toBe(true);
  rmSync(directory, { recursive: true, force: true });
});

test("SIGTERM at npx, which tells its shell and nobody else, is an orderly end as well", async () => {
  const { directory, meshFile } = copySample();
  const state = join(directory, "state");
  const words = ["cardea", "up", meshFile, "--json", "--state", state, "--port-base", PORT_BASE];
  const npx = spawn("npx", words, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  const lines = createInterface({ input: npx.stdout })[Symbol.asyncIterator]();
  let isUp = false;
  while (!isUp) isUp = (await lines.next()).value?.startsWith('{"event":"up"') ?? true;
  expect(processesOf(state).length).toBeGreaterThan(0);
  npx.kill("SIGTERM");
  await eventually(() => processesOf(state).length === 0);
  rmSync(directory, { recursive: true, force: true });
});

test("a reader that has seen enough is no reason to leave processes behind", async () => {
  const mesh = await startTestMesh();
  const pids = pidsOf(mesh.run());
  mesh.up.child.stdout!.destroy();
  const { code } = await mesh.up.finished;
  expect(code).toBe(0);
  expect(pids.filter(isAlive)).toEqual([]);
  rmSync(mesh.directory, { recursive: true, force: true });
});

test("SIGTERM while it is still starting leaves nothing either", async () => {
  const { directory, meshFile } = copySample();
  const state = join(directory, "state");
  const up = startCardea(["up", meshFile, "--json", "--state", state, "--port-base", PORT_BASE]);
  await eventually(() => processesOf(`${state}/proxies`).length > 0);
  up.child.kill("SIGTERM");
  const { code, stdout } = await up.finished;
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(processesOf(state)).toEqual([]);
  rmSync(directory, { recursive: true, force: true });
});

function pidsOf(run: ReturnType<Awaited<ReturnType<typeof startTestMesh>>["run"]>): readonly number[] {
  const processes = [run.control.process, ...run.services.flatMap((service) => [service.sidecar, service.app])];
  return processes.flatMap((each) => (each === null ? [] : [each.pid]));
}

function isAlive(pid: number): boolean {
  return processesOf("").some((found) => found.pid === pid);
}
