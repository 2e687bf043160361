import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openTail } from "../../../src/io/tail.ts";

let directory = "";
let path = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-tail-"));
  path = join(directory, "flows.jsonl");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("lines come once, and whole", async () => {
  const tail = await openTail(path, "start");
  expect(await tail.read()).toEqual([]);
  appendFileSync(path, "one\ntwo\nthr");
  expect(await tail.read()).toEqual(["one", "two"]);
  expect(await tail.read()).toEqual([]);
  appendFileSync(path, "ee\nfünf\n");
  expect(await tail.read()).toEqual(["three", "fünf"]);
});

test("from the end, what was there before is left out", async () => {
  writeFileSync(path, "old\n");
  const tail = await openTail(path, "end");
  appendFileSync(path, "new\n");
  expect(await tail.read()).toEqual(["new"]);
});

test("a file that is made later is read from its start, also from the end", async () => {
  const tail = await openTail(path, "end");
  writeFileSync(path, "first\n");
  expect(await tail.read()).toEqual(["first"]);
});

test("nothing is lost when the file is rotated", async () => {
  const tail = await openTail(path, "start");
  appendFileSync(path, "1\n");
  expect(await tail.read()).toEqual(["1"]);
  appendFileSync(path, "2\n");
  renameSync(path, `${path}.1`);
  appendFileSync(path, "3\n");
  expect(await tail.read()).toEqual(["2", "3"]);
});

test("a file that was emptied begins anew", async () => {
  writeFileSync(path, "one\ntwo\n");
  const tail = await openTail(path, "start");
  await tail.read();
  writeFileSync(path, "1\n");
  expect(await tail.read()).toEqual(["1"]);
});
