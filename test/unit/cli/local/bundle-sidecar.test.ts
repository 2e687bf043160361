import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { bundleSidecar } from "../../../../src/cli/local/bundle-sidecar.ts";
import { launchSidecar } from "../../../../src/cli/local/launch.ts";
import type { ServicePlan } from "../../../../src/cli/local/plan.ts";
import { type StatePaths, statePathsOf } from "../../../../src/cli/state-dir.ts";

const run = promisify(execFile);
const PLAN = { service: { namespace: "shop", name: "web" } } as unknown as ServicePlan;

let paths: StatePaths;
beforeEach(() => {
  paths = statePathsOf(mkdtempSync(join(tmpdir(), "cardea-bundle-")));
});
afterEach(() => rmSync(paths.directory, { recursive: true, force: true }));

test("a checkout's sidecar is one file, made of the sources as they are, and runs as they do", async () => {
  writeFileSync(paths.sidecarFile, "throw new Error('made of other sources')");
  await bundleSidecar(paths);
  const { args } = await launchSidecar(PLAN, paths);
  expect(args).toContain(paths.sidecarFile);
  const answers = [paths.sidecarFile, "src/main.ts"].map((file) => run(process.execPath, [file, "proxy", "--help"]));
  const [bundled, sources] = await Promise.all(answers);
  expect(bundled!.stdout).toBe(sources!.stdout);
  expect((await run(process.execPath, [paths.sidecarFile, "--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(readFileSync(paths.sidecarFile, "utf8")).toMatch(/\bconst LIMITS=/);
});

test("without that file a sidecar runs the sources", async () => {
  const { args } = await launchSidecar(PLAN, paths);
  expect(args.slice(-4)).toEqual([expect.stringMatching(/src\/main\.ts$/), "proxy", "--config", expect.anything()]);
});
