import { expect, test } from "vitest";
import { findBreaches, findIdleExceptions } from "./import-rule.ts";
import { readProjectFiles } from "./project-files.ts";

const sources = readProjectFiles("src", [".ts"]).filter((file) => !file.path.startsWith("src/api/generated/"));

test("src/ keeps to the import rule", () => {
  expect(sources.length).toBeGreaterThan(20);
  expect(findBreaches(sources)).toEqual([]);
});

test("every exception is still needed", () => {
  expect(findIdleExceptions(sources)).toEqual([]);
  expect(findIdleExceptions([])).toContain("src/main.ts: setInterval");
});

function breachesOf(path: string, text: string): string[] {
  return findBreaches([{ path, text }]).map((breach) => `${breach.line}: ${breach.what}`);
}

// The checker itself: each of these must be found.
test.each([
  [
    "a higher folder",
    "src/core/a.ts",
    'import { x } from "../wire/x.ts";',
    "1: core/ imports wire/, which stands above it",
  ],
  [
    "a folder of the same rank",
    "src/wire/a.ts",
    'import { x } from "../pki/x.ts";',
    "1: wire/ imports pki/, a folder of its own rank",
  ],
  [
    "a type of the same rank",
    "src/io/a.ts",
    'import type { X } from "../observe/x.ts";',
    "1: io/ imports observe/, a folder of its own rank",
  ],
  ["main", "src/cli/a.ts", 'import { x } from "../main.ts";', "1: cli/ imports main/, which stands above it"],
  [
    "a deeper folder, upwards",
    "src/proxy/http1/a.ts",
    'import { x } from "../../control/ca/x.ts";',
    "1: proxy/ imports control/, a folder of its own rank",
  ],
  [
    "a re-export",
    "src/policy/a.ts",
    'export { x } from "../io/x.ts";',
    "1: policy/ imports io/, which stands above it",
  ],
  [
    "an import for its effect",
    "src/policy/a.ts",
    'import "../io/x.ts";',
    "1: policy/ imports io/, which stands above it",
  ],
  [
    "a dynamic import",
    "src/policy/a.ts",
    'const x = await import("../io/x.ts");',
    "1: policy/ imports io/, which stands above it",
  ],
  [
    "an import over several lines",
    "src/core/a.ts",
    '// why\nimport {\n  a,\n  b,\n} from "../wire/x.ts";',
    "5: core/ imports wire/, which stands above it",
  ],
  [
    "a folder without a rank",
    "src/misc/a.ts",
    'import { x } from "../core/x.ts";',
    "1: misc/ has no rank in the import rule",
  ],
  [
    "something outside of src/",
    "src/core/a.ts",
    'import { x } from "../../test/support/x.ts";',
    "1: imports test/support/x.ts, which is not in src/",
  ],
  [
    "a path without its ending",
    "src/core/a.ts",
    'import { x } from "./x";',
    '1: import "./x" without its ending (.ts)',
  ],
  [
    "node:net",
    "src/proxy/a.ts",
    'import { connect } from "node:net";',
    "1: value import of node:net outside io/; take a port from core/ports.ts instead",
  ],
  [
    "net without its prefix",
    "src/proxy/a.ts",
    'import net from "net";',
    "1: value import of net outside io/; take a port from core/ports.ts instead",
  ],
  [
    "fs/promises",
    "src/config/a.ts",
    'import { readFile } from "node:fs/promises";',
    "1: value import of node:fs/promises outside io/; take a port from core/ports.ts instead",
  ],
  [
    "a built-in by the side door",
    "src/cli/a.ts",
    'process.getBuiltinModule("node:fs");',
    "1: value import of node:fs outside io/; take a port from core/ports.ts instead",
  ],
  [
    "the time",
    "src/proxy/a.ts",
    "const now = Date.now();",
    "1: Date.now outside io/; take Clock or Random from core/ports.ts, or Terminal.env, instead",
  ],
  [
    "the time in a template",
    "src/proxy/a.ts",
    "const id = `a-${Date.now()}`;",
    "1: Date.now outside io/; take Clock or Random from core/ports.ts, or Terminal.env, instead",
  ],
  [
    "the time, as a date",
    "src/pki/a.ts",
    "const now = new Date();",
    "1: new Date() outside io/; take Clock or Random from core/ports.ts, or Terminal.env, instead",
  ],
  [
    "chance",
    "src/wire/a.ts",
    "\nMath.random();",
    "2: Math.random outside io/; take Clock or Random from core/ports.ts, or Terminal.env, instead",
  ],
  [
    "a timer",
    "src/control/a.ts",
    "setTimeout(f, 1);",
    "1: setTimeout outside io/; take Clock or Random from core/ports.ts, or Terminal.env, instead",
  ],
  [
    "the environment",
    "src/proxy/a.ts",
    "const home = process.env.HOME;",
    "1: process.env outside io/; take Clock or Random from core/ports.ts, or Terminal.env, instead",
  ],
  [
    "the network, by fetch",
    "src/cli/a.ts",
    "await fetch(url);",
    "1: fetch( outside io/; take Clock or Random from core/ports.ts, or Terminal.env, instead",
  ],
  [
    "an exception's file at something else",
    "src/main.ts",
    "process.env;",
    "1: process.env outside io/; take Clock or Random from core/ports.ts, or Terminal.env, instead",
  ],
])("finds %s", (_, path, text, breach) => {
  expect(breachesOf(path, text)).toEqual([breach]);
});

// And each of these must be let through.
test.each([
  ["a lower folder", "src/proxy/http1/a.ts", 'import { x } from "../../wire/x.ts";'],
  ["its own folder", "src/control/distribute/a.ts", 'import { x } from "../ca/x.ts";'],
  ["a type of a built-in", "src/proxy/a.ts", 'import type { Socket } from "node:net";'],
  ["a built-in that reaches nothing", "src/pki/a.ts", 'import { createHash } from "node:crypto";'],
  ["anything in main", "src/main.ts", 'import { x } from "./proxy/x.ts";\nimport { y } from "./control/y.ts";'],
  ["a built-in in io/", "src/io/a.ts", 'import { connect } from "node:net";\nsetTimeout(f, Date.now());'],
  ["a date made of a number", "src/pki/a.ts", "const at = new Date(nowMs);"],
  ["words in a comment", "src/pki/a.ts", '// import "../io/x.ts" and Date.now()\n/* Math.random() */'],
  ["words in a string", "src/pki/a.ts", 'const text = "Date.now() and process.env";'],
  ["words in a template", "src/pki/a.ts", "const text = `Date.now() ${name} process.env`;"],
  ["words in a regular expression", "src/pki/a.ts", "const pattern = /[\"'/]Date.now/;"],
  ["a method that is called fetch", "src/cli/a.ts", "await client.fetch(url);"],
])("lets %s through", (_, path, text) => {
  expect(breachesOf(path, text)).toEqual([]);
});
