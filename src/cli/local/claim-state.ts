import { CardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { isRunning } from "../../io/child-processes.ts";
import { assertOwnDirectory, makeDirectory } from "../../io/files.ts";
import type { Terminal } from "../command.ts";
import { readJoinedServices, readRunFile, type RunFile } from "../run-file.ts";
import { chooseStateDirectory, type StatePaths, statePathsOf } from "../state-dir.ts";
import { endLeftovers, findLeftovers } from "./leftovers.ts";

/** A state directory that is ours to use, with nothing of an earlier mesh left running. */
export interface ClaimedState {
  readonly paths: StatePaths;
  /** Somebody asked for this one, so command lines that we print must name it. */
  readonly isExplicit: boolean;
}

interface ClaimOptions {
  readonly flag: string | undefined;
  readonly meshName: string;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly report: (line: string) => void;
}

const LEFTOVER_GRACE_MS = 8_000;
const MESHES_MAX = 100;

/**
 * Takes the state directory for a mesh: steps to the next name when the default one is in use, ends what an `up` that
 * was killed has left behind. Errors: `bad-input` when the one asked for is in use or cannot be used.
 */
export async function claimState(options: ClaimOptions): Promise<ClaimedState> {
  const { flag, meshName, terminal, clock, report } = options;
  for (let number = 1; number <= MESHES_MAX; number++) {
    const name = number === 1 ? meshName : `${meshName}-${number}`;
    const { directory, isExplicit } = await chooseStateDirectory(flag, name, terminal);
    const paths = statePathsOf(directory);
    await makeDirectory(directory);
    await assertOwnDirectory(directory);
    const run = await readRunFile(paths);
    const user = await findLivingUp(run);
    if (user === null) {
      if (run !== null) await endWhatIsLeft(run, paths, clock, report);
      return { paths, isExplicit };
    }
    if (isExplicit) throw new CardeaError("bad-input", `a mesh runs with its state in ${directory} (pid ${user})`);
    report(`a mesh runs with its state in ${directory} (pid ${user}); this one takes the next name`);
  }
  throw new CardeaError("bad-input", `more than ${MESHES_MAX} meshes run already`);
}

async function findLivingUp(run: RunFile | null): Promise<number | null> {
  const up = run?.up ?? null;
  return up !== null && (await isRunning(up)) ? up.pid : null;
}

async function endWhatIsLeft(
  run: RunFile,
  paths: StatePaths,
  clock: Clock,
  report: (line: string) => void,
): Promise<void> {
  const leftovers = await findLeftovers(run, await readJoinedServices(paths));
  if (leftovers.length === 0) return;
  report(`an earlier \`up\` was killed and left ${leftovers.length} processes; ending them`);
  await endLeftovers(leftovers, LEFTOVER_GRACE_MS, clock);
}
