import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StateFiles } from "../../../src/core/state-files.ts";
import { openStateFiles } from "../../../src/io/state-files.ts";

let directory: string;
let files: StateFiles;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-state-"));
  files = openStateFiles(join(directory, "mesh"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function modeOf(path: string): number {
  return statSync(join(directory, "mesh", path)).mode & 0o777;
}

describe("state files", () => {
  it("are written for their owner alone, in directories for their owner alone", async () => {
    await files.write("ca/root.pem", "text");
    expect(modeOf("ca/root.pem")).toBe(0o600);
    expect(modeOf("ca")).toBe(0o700);
    expect(await files.read("ca/root.pem")).toBe("text");
  });

  it("are null when they are not there, and an absent directory is empty", async () => {
    expect(await files.read("ca/root.pem")).toBeNull();
    expect(await files.readPrivate("ca/root.pem")).toBeNull();
    expect(await files.list("ca")).toEqual([]);
  });

  it("are created by one of many, with all of what that one wrote", async () => {
    const texts = Array.from({ length: 20 }, (_, index) => `writer ${index} `.repeat(1000));
    const won = await Promise.all(texts.map((text) => files.create("ca/key.pem", text)));
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(await files.read("ca/key.pem")).toBe(texts[won.indexOf(true)]);
    // No drafts are left behind.
    expect(readdirSync(join(directory, "mesh", "ca"))).toEqual(["key.pem"]);
  });

  it("are removed by one of many", async () => {
    await files.write("join/token.json", "{}");
    const removed = await Promise.all(Array.from({ length: 20 }, () => files.remove("join/token.json")));
    expect(removed.filter(Boolean)).toHaveLength(1);
  });

  it.each([0o644, 0o640, 0o604, 0o660])("that hold keys are refused with mode %o", async (mode) => {
    await files.write("ca/key.pem", "secret");
    chmodSync(join(directory, "mesh", "ca/key.pem"), mode);
    await expect(files.readPrivate("ca/key.pem")).rejects.toMatchObject({
      code: "bad-input",
      message: expect.stringContaining("chmod 600"),
    });
  });

  it.each(["../outside", "join/../../outside", "/etc/passwd", "", "join//x", "join/a\0b", String.raw`join\x`, "."])(
    "cannot be %j",
    async (path) => {
      await expect((async () => files.read(path))()).rejects.toMatchObject({ code: "internal" });
      await expect((async () => files.write(path, "x"))()).rejects.toMatchObject({ code: "internal" });
    },
  );

  it("are an error that says so where a file stands in the directory's place", async () => {
    writeFileSync(join(directory, "mesh"), "a file");
    await expect(files.write("ca/root.pem", "x")).rejects.toMatchObject({ code: "bad-input" });
  });
});
