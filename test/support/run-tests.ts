// `npm test`: runs every vitest suite and ends with one line, `N passed, N failed` or `N passed, N failed, N skipped`.
// Arguments are handed to vitest: `npm test -- test/unit/wire`.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { concludeTally, type Tally } from "./tally.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

async function main(): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), "cardea-tests-"));
  const tallyFile = join(scratch, "tally.json");
  try {
    const vitestExitCode = await runVitest(process.argv.slice(2), tallyFile);
    const { lines, exitCode } = concludeTally(readTally(tallyFile), vitestExitCode);
    process.stdout.write(`${lines.join("\n")}\n`);
    return exitCode;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Streams vitest's output; resolves with its exit code. A signal to us is passed on, and vitest's end awaited. */
function runVitest(args: readonly string[], tallyFile: string): Promise<number> {
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", `--reporter=${join(ROOT, "test/support/tally-reporter.ts")}`];
  const child = spawn(process.execPath, [vitest, "run", ...reporters, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, CARDEA_TALLY_FILE: tallyFile },
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
}

function readTally(file: string): Tally | null {
  try {
    const tally: unknown = JSON.parse(readFileSync(file, "utf8"));
    return tally as Tally;
  } catch {
    return null;
  }
}

process.exitCode = await main();
