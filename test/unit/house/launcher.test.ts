import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ROOT } from "./project-files.ts";

const scratch = mkdtempSync(join(tmpdir(), "cardea-launcher-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Runs bin/cardea.js in a Node that claims to be something else. */
function startAs(claim: string): { status: number | null; stdout: string; stderr: string } {
  const preload = join(scratch, "claim.cjs");
  writeFileSync(preload, claim);
  const result = spawnSync(process.execPath, ["--require", preload, "bin/cardea.js", "--version"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}

test.each([
  [
    "an old Node",
    'Object.defineProperty(process, "version", { value: "v12.22.1" });' +
      'Object.defineProperty(process, "versions", { value: { node: "12.22.1" } });',
    /^cardea: needs Node 26, this is v12\.22\.1; .*npm ci.*\n$/,
  ],
  [
    "Windows",
    'Object.defineProperty(process, "platform", { value: "win32" });',
    /^cardea: runs on Linux and macOS, not on win32 .*\n$/,
  ],
])("%s gets one line and exit code 2", (_, claim, message) => {
  const { status, stdout, stderr } = startAs(claim);
  expect(stderr).toMatch(message);
  expect(stdout).toBe("");
  expect(status).toBe(2);
});

test("a runtime that cannot start, as on Alpine, gets one line and exit code 2", () => {
  const node = join(scratch, "node");
  writeFileSync(node, "#!/lib/no-such-loader\n");
  chmodSync(node, 0o755);
  const result = spawnSync("/bin/sh", ["bin/cardea.js", "up"], { cwd: ROOT, encoding: "utf8", env: { PATH: scratch } });
  expect(result.stderr).toMatch(/^cardea: no usable Node runtime on this machine .*\n$/);
  expect(result.stdout).toBe("");
  expect(result.status).toBe(2);
});

test("started by its own name it hands on arguments, output and exit code", () => {
  const path = `${join(process.execPath, "..")}:${process.env["PATH"]}`;
  const start = (...args: string[]) =>
    spawnSync(join(ROOT, "bin/cardea.js"), args, { encoding: "utf8", env: { ...process.env, PATH: path } });
  expect(start("--version")).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    stderr: "",
  });
  expect(start("no-such-command")).toMatchObject({ status: 2, stdout: "" });
});
