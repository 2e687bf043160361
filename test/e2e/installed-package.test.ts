import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

// The package as npm would install it: compiled, without sources, below a node_modules where Node runs no TypeScript.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);
const scratch = mkdtempSync(join(tmpdir(), "cardea-installed-"));
const installed = join(scratch, "node_modules", "cardea");

beforeAll(async () => {
  await run("npm", ["run", "-s", "build"], { cwd: ROOT });
  for (const part of ["package.json", "bin", "dist", "deploy", "policies"]) {
    cpSync(join(ROOT, part), join(installed, part), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(installed, "node_modules"));
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("an installed package runs the sample mesh from dist/", async () => {
  const words = ["up", "--once", "--json", "--state", join(scratch, "state"), "--port-base", "23000"];
  const { stdout } = await run(process.execPath, [join(installed, "bin/cardea.js"), ...words], { cwd: scratch });
  const summary = JSON.parse(stdout.trimEnd().split("\n").at(-1)!) as { denied: number; unexpected: number };
  expect(summary).toMatchObject({ unexpected: 0 });
  expect(summary.denied).toBeGreaterThan(5);
});
