import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { parseYaml } from "../../../src/config/yaml.ts";
import { plainOf } from "../../../src/core/schema.ts";

// What the guide says is run, word for word, in a repository as the guide describes it.
const GUIDE = readFileSync("docs/guides/policy-in-ci.md", "utf8");
const MAIN = resolve("src/main.ts");

vi.setConfig({ testTimeout: 240_000 });

let folder = "";
let repository = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cardea-ci-"));
  repository = join(folder, "repository");
  const bin = join(folder, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "cardea"), `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`, { mode: 0o755 });
  cpSync("policies", join(repository, "policies"), { recursive: true });
  cpSync("deploy/local/mesh.yaml", join(repository, "mesh.yaml"));
  mkdirSync(join(repository, "ci"));
  writeFileSync(join(repository, "ci", "policies.sh"), pieces("sh")[0]!);
  git("init", "-q", "-b", "main");
  git("add", "-A");
  git("commit", "-qm", "first");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function git(...words: readonly string[]): void {
  execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...words], { cwd: repository });
}

/** The guide's pieces of code in a language. */
function pieces(language: string): readonly string[] {
  return [...GUIDE.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gm"))].map(([, text]) => text!);
}

function run(base: string) {
  const PATH = [join(folder, "bin"), dirname(process.execPath), process.env["PATH"]].join(delimiter);
  const { status, stderr } = spawnSync("sh", ["ci/policies.sh", base], {
    cwd: repository,
    env: { PATH, HOME: folder },
  });
  return { status, stderr: stderr.toString() };
}

function edit(file: string, from: string, to: string): void {
  const path = join(repository, "policies", file);
  const text = readFileSync(path, "utf8");
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
}

test("the recipe passes where nothing is wrong, and leaves a table for the reviewer", () => {
  expect(run("main")).toMatchObject({ status: 0 });
  expect(readFileSync(join(repository, "policy-diff.md"), "utf8")).toContain(
    "No request is decided otherwise on 4 destinations",
  );
});

test.each<[string, string, string, string, string]>([
  ["a typing error", "orders.yaml", "principals:", "principal:", "did you mean `principals`?"],
  ["a rule that changes nothing", "orders.yaml", '"/orders/*"]', '"/orders/*", "/orders/../x"]', "value-never-matches"],
  ["a grant that a test forbids", "payments.yaml", "cluster.local/ns/shop/sa/orders", "*", ""],
])("it fails with %s", (_name, file, from, to, message) => {
  edit(file, from, to);
  const { status, stderr } = run("main");
  git("checkout", "-q", "--", "policies");
  expect(status).not.toBe(0);
  expect(stderr).toContain(message);
});

test("what the hosts read is YAML, with the script that is run", () => {
  const [github, gitlab, hook] = pieces("yaml").map((text) => {
    const faults: Parameters<typeof parseYaml>[2] = [];
    const [document] = parseYaml(text, "guide.yaml", faults);
    expect(faults).toEqual([]);
    return JSON.stringify(plainOf(document!));
  });
  expect(github).toContain("sh ci/policies.sh");
  expect(gitlab).toContain("sh ci/policies.sh");
  expect(hook).toContain("cardea policy check policies --strict");
});
