import { join } from "node:path";
import { CardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { startChild } from "../../io/child-processes.ts";
import { readText, removeFile } from "../../io/files.ts";
import type { StatePaths } from "../state-dir.ts";
import type { AttemptReport } from "./breach-report.ts";
import { launchCardea } from "./launch.ts";

const TIMEOUT_MS = 30_000;

/** Plays the breach in a process of its own, as code would that runs in web's place. Errors: `unreachable`. */
export async function runBreach(paths: StatePaths, clock: Clock): Promise<readonly AttemptReport[]> {
  const logFile = join(paths.log, "breach.jsonl");
  await removeFile(logFile);
  const child = await startChild(launchCardea(["breach", "--state", paths.directory, "--json"], logFile, paths));
  const timer = clock.setTimer(TIMEOUT_MS, () => child.signal("SIGKILL"));
  const { code, signal } = await child.exited;
  timer.cancel();
  const lines = (await readText(logFile)).trim().split("\n");
  if (code !== 0 && code !== 1)
    throw new CardeaError("unreachable", `the breach could not be played (${signal ?? code}): ${lines.at(-1)}`);
  return lines.map((line) => JSON.parse(line) as AttemptReport);
}
