import { CardeaError } from "../core/errors.ts";
import { systemClock } from "../io/clock.ts";
import { isPortFree } from "../io/ports-probe.ts";
import type { Command, ParsedArgs, Terminal } from "./command.ts";
import { claimState } from "./local/claim-state.ts";
import { assertProgram } from "./local/launch.ts";
import { type LoadedMesh, loadMesh } from "./local/load-mesh.ts";
import { type LocalMesh, openLocalMesh } from "./local/local-mesh.ts";
import { describeMissingSockets, type LocalPlan, planMesh, reservedPortsOf } from "./local/plan.ts";
import { DEFAULT_PORT_BASE } from "./local/port-layout.ts";
import { createPortChooser, type SteppedPort } from "./local/ports.ts";
import { makeStateDirectories, writeMeshState } from "./local/state-files.ts";
import type { StatePaths } from "./state-dir.ts";
import { followMesh } from "./up-follow.ts";
import { driveOnce } from "./up-once.ts";

/** A whole mesh on this machine. */
export const command: Command = {
  name: "up",
  summary: "run a whole mesh on this machine: authority, control plane, services and their sidecars",
  usage: "cardea up [mesh.yaml] [--once] [--json] [--state DIR] [--port-base PORT]",
  example: "cardea up --once",
  positional: { min: 0, max: 1 },
  flags: [
    { name: "once", value: null, summary: "drive the sample traffic and the breach, print a summary and exit" },
    { name: "json", value: null, summary: "one JSON object a line on stdout (also without it, off a terminal)" },
    { name: "state", value: "DIR", summary: "where keys, logs and flow records are kept" },
    {
      name: "port-base",
      value: "PORT",
      summary: "first port of the mesh's; taken ones are stepped around",
      default: String(DEFAULT_PORT_BASE),
    },
  ],
  run: runUp,
};

/** A mesh that runs, and how it is to be talked about. */
export interface RunningUp {
  readonly mesh: LocalMesh;
  readonly plan: LocalPlan;
  readonly paths: StatePaths;
  /** The state directory where printed command lines must name it; null where it is found by itself. */
  readonly shownState: string | null;
  readonly stepped: readonly SteppedPort[];
  readonly isJson: boolean;
  readonly terminal: Terminal;
  /** Aborted by ^C and SIGTERM. */
  readonly signal: AbortSignal;
}

async function runUp(args: ParsedArgs, terminal: Terminal): Promise<0 | 1> {
  const interrupt = new AbortController();
  let running: LocalMesh | null = null;
  terminal.onSignal(() => {
    // The first asks for an orderly end, the second does not wait for it.
    if (interrupt.signal.aborted) running?.kill();
    else terminal.stderr("ending: apps, then sidecars, then the control plane; once more to end them by force");
    interrupt.abort();
  });
  const report = (line: string): void => terminal.stderr(line);
  const clock = systemClock;
  const portBase = parsePortBase(args.flag("port-base"));
  const loaded = await loadMesh(args.positional[0], terminal.cwd);
  await assertPrograms(loaded, terminal);
  const { paths, isExplicit } = await claimState({
    flag: args.flag("state"),
    meshName: loaded.mesh.name,
    terminal,
    clock,
    report,
  });
  const ports = createPortChooser(
    (port) => isPortFree({ host: "127.0.0.1", port }),
    reservedPortsOf(loaded.mesh, portBase),
  );
  const plan = await planMesh(loaded.mesh, paths, ports, portBase);
  for (const line of describeSteps(ports.stepped)) report(line);
  const missing = describeMissingSockets(plan.services, paths);
  if (missing !== null) report(missing);
  await makeStateDirectories(paths);
  await writeMeshState(plan, loaded.mesh, loaded.policiesDirectory, paths);
  const { signal } = interrupt;
  try {
    running = await openLocalMesh({ loaded, plan, paths, env: terminal.env, clock, report, signal });
  } catch (error) {
    // What the interruption has undone is no failure.
    if (signal.aborted) return 0;
    throw error;
  }
  const isJson = args.isSet("json") || !terminal.isTty;
  const shownState = isExplicit ? paths.directory : null;
  const up = { mesh: running, plan, paths, shownState, stepped: ports.stepped, isJson, terminal, signal };
  try {
    return args.isSet("once") ? await driveOnce(up) : await followMesh(up);
  } finally {
    await running.close();
  }
}

/** Beside another mesh nearly every default is taken: then a list tells more than a page of sentences. */
const SENTENCES_MAX = 3;

function describeSteps(stepped: readonly SteppedPort[]): readonly string[] {
  if (stepped.length <= SENTENCES_MAX)
    return stepped.map(({ purpose, wanted, got }) => `port ${wanted} is taken: the ${purpose} is ${got}`);
  const steps = stepped.map(({ wanted, got }) => `${wanted} -> ${got}`);
  return [`${stepped.length} ports are taken and stepped around: ${steps.join(", ")}`];
}

async function assertPrograms({ mesh, directory }: LoadedMesh, terminal: Terminal): Promise<void> {
  for (const { name, namespace, app } of mesh.services) {
    const program = app?.kind === "command" ? app.command[0]! : null;
    if (program !== null) await assertProgram(`the app of ${namespace}/${name}`, program, directory, terminal.env);
  }
}

function parsePortBase(text: string | undefined): number {
  const port = /^\d{1,5}$/.test(text ?? "") ? Number(text) : Number.NaN;
  if (port >= 1 && port <= 65_000) return port;
  throw new CardeaError("bad-input", `--port-base: expected a port from 1 to 65000, found ${JSON.stringify(text)}`);
}
