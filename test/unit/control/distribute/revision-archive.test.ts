import { mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RevisionFile } from "../../../../src/config/revision-file.ts";
import { openRevisionArchive, type RevisionArchive } from "../../../../src/control/distribute/revision-archive.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../../src/policy/mesh-settings.ts";

let parent: string;
let directory: string;
let archive: RevisionArchive;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "cardea-revisions-"));
  directory = join(parent, "revisions");
  archive = openRevisionArchive(directory);
});
afterEach(() => rm(parent, { recursive: true }));

test("what is saved is read back, and nobody else may read it", async () => {
  await archive.save(revision("r1"));
  expect(await archive.newest()).toEqual(revision("r1"));
  expect((await stat(join(directory, "r1.json"))).mode & 0o777).toBe(0o600);
});

test("there is none before one was saved", async () => {
  expect(await archive.newest()).toBeNull();
});

test("the newest are kept, and one that came back is among them", async () => {
  for (let index = 0; index < LIMITS.revisionsKept; index += 1) {
    await archive.save(revision(`r${index}`));
    await utimes(join(directory, `r${index}.json`), 1_000 + index, 1_000 + index);
  }
  await archive.save(revision("r0"));
  await archive.save(revision("last"));
  const names = await readdir(directory);
  expect(names).toHaveLength(LIMITS.revisionsKept);
  expect(names).toContain("r0.json");
  expect(names).not.toContain("r1.json");
});

test.each([
  ["no JSON", "{"],
  ["a revision without settings", '{"revision":"x","files":[]}'],
  ["something else", "[]"],
])("a damaged newest revision is an error, not an empty set: %s", async (_name, text) => {
  await archive.save(revision("r1"));
  await utimes(join(directory, "r1.json"), 1_000, 1_000);
  await writeFile(join(directory, "r2.json"), text);
  await expect(archive.newest()).rejects.toMatchObject({ code: "bad-input" });
});

function revision(name: string): RevisionFile {
  return { revision: name, settings: DEFAULT_MESH_SETTINGS, files: [{ path: "/p/a.yaml", text: "x" }] };
}
