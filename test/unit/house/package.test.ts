import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { projectHas, ROOT, readProjectFile, readProjectFiles } from "./project-files.ts";

const run = promisify(execFile);
const scratch = mkdtempSync(join(tmpdir(), "cardea-package-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

beforeAll(async () => {
  await run("npm", ["run", "-s", "build"], { cwd: ROOT });
});

test("what the build makes runs on its own", async () => {
  const { stdout } = await run(process.execPath, ["dist/main.js", "--version"], { cwd: ROOT });
  const { version } = JSON.parse(readProjectFile("package.json")) as { version: string };
  expect(stdout).toBe(`${version}\n`);
});

test("every command loads from what the build makes", async () => {
  const { stdout } = await run(process.execPath, ["dist/main.js", "--help"], { cwd: ROOT });
  expect(stdout).toContain("usage: cardea COMMAND");
});

test("a sidecar loads one file of ours, which says what main says", async () => {
  const list = join(scratch, "modules");
  const preload = join(ROOT, "test/support/loaded-modules.mjs");
  const env = { LOADED_MODULES: list };
  const words = ["--import", preload, "dist/cli/sidecar.js", "proxy", "--help"];
  const { stdout } = await run(process.execPath, words, { cwd: ROOT, env });
  expect(stdout).toBe((await run(process.execPath, ["dist/main.js", "proxy", "--help"], { cwd: ROOT })).stdout);
  const files = readFileSync(list, "utf8")
    .split("\n")
    .filter((url) => url.startsWith("file:"));
  expect(files).toEqual([pathToFileURL(join(ROOT, "dist/cli/sidecar.js")).href]);
});

test("a sidecar's file keeps constants constant, which the compiler relies on", () => {
  const text = readProjectFile("dist/cli/sidecar.js");
  expect(text).toMatch(/\bconst LIMITS=/);
  expect(text).not.toMatch(/\bvar LIMITS\b|__esm/);
});

test.each([
  [["proxy"], "--config FILE is missing"],
  [["proxy", "--config", "/no/such/file.json"], "/no/such/file.json"],
])("a sidecar that cannot start says why on one line: %j", async (words, why) => {
  const failed = await run(process.execPath, ["dist/cli/sidecar.js", ...words], { cwd: ROOT }).catch(
    (error: { code: number; stderr: string }) => error,
  );
  expect(failed).toMatchObject({ stderr: expect.stringMatching(new RegExp(`^cardea: .*${why}.*\n$`)) });
  expect([2, 3]).toContain((failed as { code: number }).code);
});

test("the .proto files stand in dist/ as they do in src/", () => {
  const protos = readProjectFiles("src", [".proto"]);
  expect(protos.length).toBeGreaterThan(0);
  for (const { path, text } of protos) expect(readProjectFile(path.replace("src/", "dist/"))).toBe(text);
});

test("the package holds what it runs on, and no sources or tests", async () => {
  const { stdout } = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: ROOT });
  const [packed] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const paths = packed.files.map((file) => file.path);
  expect(paths).toEqual(
    expect.arrayContaining([
      "bin/cardea.js",
      "bin/package.json",
      "dist/cli/sidecar.js",
      "dist/main.js",
      "deploy/local/mesh.yaml",
      "LICENSE",
      "README.md",
    ]),
  );
  expect(paths.some((path) => /^policies\/.*\.yaml$/.test(path))).toBe(true);
  expect(paths.filter((path) => /^(?:src|test|bench|docs|node_modules)\//.test(path))).toEqual([]);
});

test("the program's own file is plain JavaScript for any Node, and a shell's first line", () => {
  const [shebang, guard, ...rest] = readProjectFile("bin/cardea.js").split("\n");
  expect(shebang).toBe("#!/bin/sh");
  expect(guard).toMatch(/^":" \/\/; /);
  expect(rest.join("\n")).not.toMatch(/=>|\b(?:const|let|class|async|await)\b|`[^`]*\$\{/);
  expect(projectHas("bin/package.json")).toBe(true);
});
