import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { PORT_BASE } from "../support/local-mesh.ts";

// Node refuses TypeScript below node_modules, so the package holds what tsc makes of it: the same promise from there.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

test("installed as a package, the sample mesh runs as it does from a checkout", () => {
  const project = mkdtempSync(join(tmpdir(), "cardea-package-"));
  try {
    const program = installInto(join(project, "node_modules"));
    const words = [program, "up", "--once", "--json", "--state", join(project, "state"), "--port-base", PORT_BASE];
    const stdout = execFileSync(process.execPath, words, { cwd: project, encoding: "utf8", timeout: 60_000 });
    expect(JSON.parse(stdout.trim().split("\n").at(-1)!)).toMatchObject({ denied: 9, unexpected: 0 });
    expect(readdirSync(project).toSorted()).toEqual(["node_modules", "state"]);
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
});

/** As npm would: our files as a package, beside the packages that it needs. */
function installInto(modules: string): string {
  const own = join(modules, "cardea");
  mkdirSync(own, { recursive: true });
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", join(ROOT, "tsconfig.build.json"), "--outDir", join(own, "dist")]);
  cpSync(join(ROOT, "src", "api", "proto"), join(own, "dist", "api", "proto"), { recursive: true });
  for (const part of ["bin", "deploy", "policies", "package.json"])
    cpSync(join(ROOT, part), join(own, part), { recursive: true });
  for (const name of readdirSync(join(ROOT, "node_modules")))
    if (!name.startsWith(".")) symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  return join(own, "bin", "cardea.js");
}
