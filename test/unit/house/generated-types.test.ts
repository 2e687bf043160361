import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ROOT, readProjectFile, readProjectFiles } from "./project-files.ts";

const run = promisify(execFile);

test("src/api/generated/ is what the .proto files say (else: npm run proto)", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "cardea-proto-"));
  try {
    const { scripts } = JSON.parse(readProjectFile("package.json")) as { scripts: { proto: string } };
    const elsewhere = scripts.proto.replaceAll("--outDir=src/api/generated", `--outDir=${scratch}`);
    expect(elsewhere).not.toBe(scripts.proto);
    const PATH = `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"]}`;
    await run("sh", ["-c", elsewhere], { cwd: ROOT, env: { ...process.env, PATH } });
    const made = readdirSync(scratch, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
    const checkedIn = readProjectFiles("src/api/generated", [".ts"]);
    expect(checkedIn.length).toBeGreaterThan(10);
    expect(checkedIn.map((file) => file.path)).toEqual(made.map((file) => `src/api/generated/${file}`).toSorted());
    for (const { path, text } of checkedIn) {
      expect(text, path).toBe(readFileSync(join(scratch, path.replace("src/api/generated/", "")), "utf8"));
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
