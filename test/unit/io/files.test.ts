import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  atomicWrite,
  createFile,
  findProgram,
  listFiles,
  listFilesBelow,
  makeDirectory,
  readKind,
  readText,
  readTextIfPresent,
  removeFile,
} from "../../../src/io/files.ts";

let directory = "";
const at = (...names: string[]): string => join(directory, ...names);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-files-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("a file is replaced as a whole, with its mode, and no draft stays behind", async () => {
  await atomicWrite(at("key.pem"), "old", 0o600);
  await atomicWrite(at("key.pem"), "new", 0o600);
  expect(readFileSync(at("key.pem"), "utf8")).toBe("new");
  expect(statSync(at("key.pem")).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(["key.pem"]);
});

test("a file that cannot be replaced leaves no draft", async () => {
  mkdirSync(at("taken", "inner"), { recursive: true });
  await expect(atomicWrite(at("taken"), "text")).rejects.toMatchObject({ code: "bad-input" });
  expect(readdirSync(directory)).toEqual(["taken"]);
});

test("of two who create a file, the second is told", async () => {
  expect([await createFile(at("lock"), "1"), await createFile(at("lock"), "2")]).toEqual([true, false]);
  expect(readFileSync(at("lock"), "utf8")).toBe("1");
});

test("of two who remove a file, one is told that it did", async () => {
  writeFileSync(at("token"), "");
  expect(await Promise.all([removeFile(at("token")), removeFile(at("token"))])).toSatisfy(
    (removed: boolean[]) => removed.filter(Boolean).length === 1,
  );
});

test("hidden files are not listed, links are", async () => {
  writeFileSync(at("b"), "");
  writeFileSync(at(".a"), "");
  symlinkSync(at("b"), at("a"));
  mkdirSync(at("c"));
  writeFileSync(at("c", "d"), "");
  expect(await listFiles(directory)).toEqual(["a", "b"]);
  expect(await listFilesBelow(directory)).toEqual([at("a"), at("b"), at("c", "d")]);
});

test("a program is found on the search path or where it is named, and is a file that may be run", async () => {
  mkdirSync(at("bin", "dir"), { recursive: true });
  writeFileSync(at("bin", "tool"), "", { mode: 0o755 });
  writeFileSync(at("bin", "text"), "", { mode: 0o644 });
  const find = (name: string): Promise<string | null> => findProgram(name, directory, `/none:${at("bin")}`);
  expect(await find("tool")).toBe(at("bin", "tool"));
  expect(await find("./bin/tool")).toBe(at("bin", "tool"));
  for (const name of ["text", "dir", "absent", "./tool"]) expect(await find(name), name).toBeNull();
});

test("a directory is closed to others", async () => {
  await makeDirectory(at("x", "y"));
  expect(statSync(at("x", "y")).mode & 0o777).toBe(0o700);
});

test("what is absent is empty, null or absent where that was asked, and else a fault with the reason", async () => {
  expect(await listFiles(at("none"))).toEqual([]);
  expect(await readTextIfPresent(at("none"))).toBeNull();
  expect(await readKind(at("none"))).toBe("absent");
  await expect(readText(at("none"))).rejects.toMatchObject({
    code: "bad-input",
    message: `${at("none")} cannot be read: no such file or directory`,
  });
  await expect(listFilesBelow(at("none"))).rejects.toMatchObject({ code: "bad-input" });
});

test("a directory is no text", async () => {
  await expect(readText(directory)).rejects.toMatchObject({
    message: `${directory} cannot be read: it is a directory`,
  });
});

test("a file over the limit is not read", async () => {
  writeFileSync(at("big"), "x".repeat(11));
  await expect(readText(at("big"), 10)).rejects.toMatchObject({ code: "bad-input", message: /longer than 10 bytes/ });
});

test.skipIf(process.getuid?.() === 0)(
  "a file that may not be read says so (skipped for root, who may read it)",
  async () => {
    writeFileSync(at("secret"), "x");
    chmodSync(at("secret"), 0o000);
    await expect(readText(at("secret"))).rejects.toMatchObject({ message: /permission denied/ });
  },
);
