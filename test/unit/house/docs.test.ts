import { expect, test } from "vitest";
import { COMMANDS, findCommand } from "../../../src/cli/commands.ts";
import { anchorsOf, codePiecesOf, localLinksOf, sectionOf } from "./markdown.ts";
import { type ProjectFile, projectHas, readProjectFile, readProjectFiles } from "./project-files.ts";

const pages = [...readProjectFiles(".", [".md"])];
const code = pages.flatMap(codePiecesOf);
const scripts = Object.keys((JSON.parse(readProjectFile("package.json")) as { scripts: object }).scripts);

test("the checks below look at the project's pages", () => {
  const paths = pages.map((page) => page.path);
  expect(paths).toEqual(
    expect.arrayContaining([
      "README.md",
      "ARCHITECTURE.md",
      "SECURITY.md",
      "CONTRIBUTING.md",
      "CHANGELOG.md",
      "docs/guides/local-mesh.md",
      "docs/guides/differences-from-istio.md",
    ]),
  );
  expect(code.length).toBeGreaterThan(100);
});

/** `npx cardea up --once` → ["up", "--once"]: the words of each call of the program that a piece of code shows. */
function callsIn(text: string): string[][] {
  const calls = /(?:^|[\s$(])cardea (?:-- )?(?!-- )([a-z-][^|;&)#\n]*)/g;
  const words = [...text.matchAll(calls)].map((match) => match[1]!.trim().split(/\s+/));
  // "cardea up: run a whole mesh" is the first line of a help page.
  return words.filter((call) => !call.slice(0, 2).some((word) => word.endsWith(":")));
}

async function faultOf(words: readonly string[]): Promise<string | null> {
  if (words[0]!.startsWith("--"))
    return ["--version", "--help"].includes(words[0]!) ? null : `no such flag ${words[0]}`;
  const entry = findCommand(words);
  if (entry === null) return `no such command: ${words.join(" ")}`;
  const { flags } = await entry.load();
  const end = words.includes("--") ? words.indexOf("--") : words.length;
  const given = words.slice(0, end).flatMap((word) => /^\[?--([a-z-]+)/.exec(word)?.[1] ?? []);
  const unknown = given.filter((name) => name !== "help" && !flags.some((flag) => flag.name === name));
  return unknown.length === 0 ? null : `${entry.name} has no flag --${unknown.join(", --")}`;
}

test("pages show only commands and flags that exist", async () => {
  const calls = code.flatMap((piece) => callsIn(piece.text).map((words) => ({ page: piece.page, words })));
  expect(calls.length).toBeGreaterThan(COMMANDS.length);
  const faults = await Promise.all(calls.map(async ({ page, words }) => ({ page, fault: await faultOf(words) })));
  expect(faults.filter((found) => found.fault !== null)).toEqual([]);
});

test.each([
  ["npx cardea dance", "no such command: dance"],
  ["$ cardea up --twice", "up has no flag --twice"],
  ["cardea policy guess policies/", "no such command: policy guess policies/"],
])("the check of commands finds %j", async (text, fault) => {
  expect(await faultOf(callsIn(text)[0]!)).toBe(fault);
});

test("pages show only npm scripts that exist", () => {
  const shown = code.flatMap((piece) =>
    [...piece.text.matchAll(/\bnpm (?:run (?:-s )?([a-z][\w:-]*)|(start|test)\b)/g)].map(
      (match) => match[1] ?? match[2]!,
    ),
  );
  expect(shown.length).toBeGreaterThan(5);
  expect(shown.filter((name) => !scripts.includes(name))).toEqual([]);
});

test("links lead to files and headings that exist", () => {
  const links = pages.flatMap((page) => localLinksOf(page).map((link) => ({ page: page.path, ...link })));
  expect(links.length).toBeGreaterThan(20);
  const broken = links.filter(({ target, anchor }) => {
    if (!projectHas(target)) return true;
    return anchor !== null && !anchorsOf(readProjectFile(target)).includes(anchor);
  });
  expect(broken).toEqual([]);
});

/** What a guide lets the reader write. */
const MADE_BY_THE_READER = ["policies/allow-shopfront.yaml"];

test("paths of the project in code spans exist", () => {
  const named = code.flatMap((piece) =>
    [...piece.text.matchAll(/(?<![\w./-])(?:src|test|docs|deploy|policies|bench|bin|\.ci)\/[\w./-]*\w\/?/g)].map(
      (match) => ({ page: piece.page, path: match[0] }),
    ),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter(({ path }) => !projectHas(path) && !MADE_BY_THE_READER.includes(path))).toEqual([]);
});

test("docs/adr/README.md lists every decision under its title, and each says context, decision and consequences", () => {
  const list = readProjectFile("docs/adr/README.md");
  const decisions = readProjectFiles("docs/adr", [".md"]).filter((page) => page.path !== "docs/adr/README.md");
  expect(decisions.length).toBeGreaterThan(6);
  expect(new Set(decisions.map(numberOf)).size).toBe(decisions.length);
  for (const decision of decisions) {
    const title = /^# (\d{4}: .+)$/m.exec(decision.text)?.[1];
    expect(title?.slice(0, 4)).toBe(numberOf(decision));
    expect(list).toContain(`[${title}](${decision.path.replace("docs/adr/", "")})`);
    for (const heading of ["## Context", "## Decision", "## Consequences"]) {
      expect(sectionOf(decision.text, heading).trim(), `${decision.path} ${heading}`).not.toBe("");
    }
  }
});

function numberOf(decision: ProjectFile): string {
  return decision.path.replace("docs/adr/", "").slice(0, 4);
}
