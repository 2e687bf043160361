import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { projectHas, ROOT, readProjectFile, readProjectFiles } from "./project-files.ts";

const run = promisify(execFile);

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
