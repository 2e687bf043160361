import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findLastLine, readLinesBackward } from "../../../src/io/lines-backward.ts";

let directory = "";
let path = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-lines-"));
  path = join(directory, "x.jsonl");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Longer than a chunk, so that lines span several. */
const LONG = "ü".repeat(400_000);

describe("lines of a file, the last first", () => {
  test.each([
    ["an empty file", "", []],
    ["one line", "one\n", ["one"]],
    ["three", "one\ntwo\nthree\n", ["three", "two", "one"]],
    ["empty lines", "\n\none\n\n", ["", "one", "", ""]],
    ["a torn last line, which is left out", "one\ntwo\nthr", ["two", "one"]],
    ["nothing but a torn line", "on", []],
    ["lines longer than a chunk", `${LONG}1\n${LONG}2\nend\n`, ["end", `${LONG}2`, `${LONG}1`]],
    ["a torn line longer than a chunk", `one\n${LONG}`, ["one"]],
    ["a short line before a long torn one", `${LONG}\n${LONG}`, [LONG]],
  ])("%s", async (_name, text, lines) => {
    writeFileSync(path, text);
    expect(await allLines()).toEqual(lines);
  });

  test("of every length around the chunk's, whole and in order", async () => {
    const lines = Array.from({ length: 400 }, (_, index) => `${index}:${"x".repeat((index * 7_919) % 5_000)}`);
    writeFileSync(path, `${lines.join("\n")}\n`);
    expect(await allLines()).toEqual(lines.toReversed());
  });

  test("an absent file has none", async () => {
    expect(await allLines()).toEqual([]);
  });

  test("what is appended meanwhile does not disturb", async () => {
    writeFileSync(path, `${LONG}1\n${LONG}2\n`);
    const reading = readLinesBackward(path);
    expect((await reading.next()).value).toBe(`${LONG}2`);
    appendFileSync(path, "late\n");
    expect((await reading.next()).value).toBe(`${LONG}1`);
    expect((await reading.next()).done).toBe(true);
  });
});

describe("the last line with a text", () => {
  test.each([
    ["at the end", `a\nb needle\n`, "b needle"],
    ["at the beginning, far away", `needle a\n${LONG}\n${LONG}\n`, "needle a"],
    ["the last of several", `needle a\nneedle b\nc\n`, "needle b"],
    [
      "across the border of chunks",
      `${"x".repeat(300_000)}needle\n${"y".repeat(262_137)}\n`,
      `${"x".repeat(300_000)}needle`,
    ],
  ])("is found %s", async (_name, text, line) => {
    writeFileSync(path, text);
    expect(await findLastLine(path, "needle")).toBe(line);
  });

  test.each([
    ["it is nowhere", "a\nb\n"],
    ["it stands in a torn line", "a\nneedle"],
    ["it would go over a line's end", "nee\ndle\n"],
    ["the file is empty", ""],
  ])("is not found when %s", async (_name, text) => {
    writeFileSync(path, text);
    expect(await findLastLine(path, "needle")).toBeNull();
  });
});

async function allLines(): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLinesBackward(path)) lines.push(line);
  return lines;
}
