import type { Clock } from "../../core/ports.ts";
import type { ChildExit, ChildProcess, ProcessName } from "../../io/child-processes.ts";

/** A process that is kept alive: what it is, and how it is started. */
export interface Kept {
  /** e.g. `sidecar of shop/web`, for people. */
  readonly title: string;
  /** Brings a new one up: a restart needs a new join token, so this is more than a command line. */
  start(): Promise<ChildProcess>;
}

export interface Keeping {
  /** The process of the moment, or null between two. */
  current(): ProcessName | null;
  /** How often it has ended on its own. */
  endCount(): number;
  /** Ends the process, at the latest by force, and starts no other. Resolves when it is gone. */
  stop(): Promise<void>;
  /** Kills the process of the moment, if any. While it is being stopped this is the end; else it is started again. */
  kill(): void;
}

interface SupervisorOptions {
  readonly clock: Clock;
  /** From SIGTERM to SIGKILL. */
  readonly graceMs: number;
  /** A process came or went. */
  readonly onChange: () => void;
  /** Something that the user should read. */
  readonly report: (line: string) => void;
}

type State =
  | { readonly at: "starting" }
  | { readonly at: "running"; readonly child: ChildProcess; readonly sinceMs: number }
  | { readonly at: "waiting" }
  | { readonly at: "stopped" };

const BACKOFF_FIRST_MS = 50;
const BACKOFF_LAST_MS = 5_000;
/** A process that lived this long came up well: its next end is a new story. */
const LIVED_WELL_MS = 5_000;

/**
 * Starts a process and starts it again whenever it ends, after a pause that doubles. The first start's failure is
 * the caller's: nothing is kept then.
 */
export async function keepRunning(kept: Kept, options: SupervisorOptions): Promise<Keeping> {
  const { clock, graceMs, onChange, report } = options;
  let backoffMs = BACKOFF_FIRST_MS;
  let state: State = { at: "starting" };
  let starting = Promise.resolve();
  let endCount = 0;
  let stopping: ChildProcess | null = null;
  const isStopped = (): boolean => state.at === "stopped";

  function started(child: ChildProcess): void {
    state = { at: "running", child, sinceMs: clock.monotonicMs() };
    onChange();
    void child.exited.then(ended);
  }

  function ended(exit: ChildExit): void {
    if (state.at !== "running") return;
    endCount += 1;
    if (clock.monotonicMs() - state.sinceMs >= LIVED_WELL_MS) backoffMs = BACKOFF_FIRST_MS;
    state = { at: "waiting" };
    onChange();
    report(`${kept.title} ended (${describeExit(exit)}); starting it again`);
    startLater();
  }

  function startLater(): void {
    clock.setTimer(backoffMs, () => {
      starting = startAgain();
    });
    backoffMs = Math.min(backoffMs * 2, BACKOFF_LAST_MS);
  }

  async function startAgain(): Promise<void> {
    if (isStopped()) return;
    state = { at: "starting" };
    try {
      const child = await kept.start();
      if (isStopped()) await endChild(child, graceMs, clock);
      else started(child);
    } catch (thrown) {
      report(`${kept.title} cannot be started: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      if (!isStopped()) startLater();
    }
  }

  started(await kept.start());
  return {
    current: () => (state.at === "running" ? state.child.name : null),
    endCount: () => endCount,
    async stop() {
      if (state.at === "running") stopping = state.child;
      state = { at: "stopped" };
      if (stopping !== null) await endChild(stopping, graceMs, clock);
      stopping = null;
      await starting;
    },
    kill() {
      (state.at === "running" ? state.child : stopping)?.signal("SIGKILL");
    },
  };
}

function describeExit(exit: ChildExit): string {
  return exit.signal === null ? `exit code ${exit.code}` : exit.signal;
}

/** SIGTERM, and SIGKILL for what is still there after the grace. */
export async function endChild(child: ChildProcess, graceMs: number, clock: Clock): Promise<void> {
  child.signal("SIGTERM");
  const force = clock.setTimer(graceMs, () => child.signal("SIGKILL"));
  await child.exited;
  force.cancel();
  // What the child itself had begun goes with its group.
  child.signal("SIGKILL");
}
