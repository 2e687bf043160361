import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "../../../src/cli/inject.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";

let directory = "";
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), "cardea-inject-"))));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const POD = "# mine\napiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: web # app\n";

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

async function run(words: readonly string[], input = "") {
  const terminal = keptTerminal({
    async *stdin() {
      yield* input.replace(/\n$/, "").split("\n");
    },
  });
  const code = await runCommand(command, words, terminal);
  return { code, out: terminal.out.join("\n"), err: terminal.err.join("\n") };
}

test("a file goes in, and comes out injected with its comments; what happened is on stderr", async () => {
  const path = file("pod.yaml", POD);
  const { code, out, err } = await run(["-f", path]);
  expect(code).toBe(0);
  expect(err).toBe(`${path}: Pod default/web: injected`);
  expect(out).toContain("# mine\n");
  expect(out).toContain("- name: web # app");
  expect(out).toContain("- name: cardea-proxy");
});

test("standard input is read without a flag, and what is injected comes out as it went in", async () => {
  const once = await run([], POD);
  const twice = await run(["-f", "-"], once.out);
  expect(twice.out).toBe(once.out);
  expect(twice.err).toBe("standard input: Pod default/web: is injected already");
});

test("several files become one stream", async () => {
  const { out } = await run(["-f", file("a.yaml", POD), "-f", file("b.yaml", POD)]);
  expect(out.split("\n---\n")).toHaveLength(2);
});

test("settings are the webhook's own document, and an older cluster gets a plain container", async () => {
  const settings = file(
    "s.yaml",
    "apiVersion: cardea.dev/v1\nkind: InjectionSettings\nspec: {image: registry.example/cardea:7}\n",
  );
  const { out } = await run(["--settings", settings, "--kubernetes", "1.27"], POD);
  expect(out).toContain("image: registry.example/cardea:7");
  expect(out).not.toContain("startupProbe");
});

describe("refused with exit code 2, and nothing on stdout:", () => {
  test.each<[string, () => readonly string[], string, string]>([
    [
      "one pod of two that cannot be injected",
      () => [],
      `${POD}---\n${POD.replace("name: web # app", "name: cardea-proxy")}`,
      "refused: there is a container named cardea-proxy already",
    ],
    [
      "a misspelt annotation",
      () => [],
      POD.replace("  name: web\n", "  name: web\n  annotations: {cardea.dev/opaque-prots: '1'}\n"),
      "did you mean cardea.dev/opaque-ports?",
    ],
    ["broken YAML", () => [], "a: [\n", "not valid YAML"],
    ["a file that is not there", () => ["-f", join(directory, "none.yaml")], "", "no such file"],
    [
      "settings of another kind",
      () => ["--settings", file("m.yaml", "apiVersion: cardea.dev/v1\nkind: Mesh\n")],
      POD,
      "kind: expected one of InjectionSettings",
    ],
    [
      "settings with a slip",
      () => ["--settings", file("t.yaml", "apiVersion: cardea.dev/v1\nkind: InjectionSettings\nspec: {imaeg: x}\n")],
      POD,
      "did you mean `image`?",
    ],
    [
      "an amount that is none",
      () => [
        "--settings",
        file(
          "u.yaml",
          "apiVersion: cardea.dev/v1\nkind: InjectionSettings\nspec: {proxyResources: {limits: {cpu: lots}}}\n",
        ),
      ],
      POD,
      "expected a quantity",
    ],
    [
      "two settings",
      () => ["--settings", file("v.yaml", "apiVersion: cardea.dev/v1\nkind: InjectionSettings\n---\na: 1\n")],
      POD,
      "more than one document",
    ],
    ["a version that is none", () => ["--kubernetes", "new"], POD, "--kubernetes: expected a version like 1.31"],
  ])("%s", async (_, words, input, message) => {
    const { code, out, err } = await run(words(), input);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(message);
  });
});
