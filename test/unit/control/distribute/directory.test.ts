import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Directory, openDirectory } from "../../../../src/control/distribute/directory.ts";

let path: string;
let directory: Directory;
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), "cardea-directory-"));
  directory = openDirectory(path, [".json"]);
});
afterEach(() => rm(path, { recursive: true, force: true }));

test("a file is read anew when it has changed, if only its text", async () => {
  await writeFile(join(path, "a.json"), "1");
  expect(await texts()).toEqual(["1"]);
  await writeFile(join(path, "a.json"), "2");
  expect(await texts()).toEqual(["2"]);
});

test("neither size nor time of the text decide alone: whoever sets them back is found out", async () => {
  const file = join(path, "a.json");
  const longAgo = new Date(0);
  await writeFile(file, "1");
  await utimes(file, longAgo, longAgo);
  expect(await texts()).toEqual(["1"]);
  await writeFile(file, "2");
  await utimes(file, longAgo, longAgo);
  expect(await texts()).toEqual(["2"]);
});

test("a file that has gone is not there, and comes back as it is then", async () => {
  await writeFile(join(path, "a.json"), "1");
  await texts();
  await rm(join(path, "a.json"));
  expect(await texts()).toEqual([]);
  await writeFile(join(path, "a.json"), "3");
  expect(await texts()).toEqual(["3"]);
});

async function texts(): Promise<readonly string[]> {
  return (await directory.read()).map((file) => (file.kind === "text" ? file.text : "unreadable"));
}
