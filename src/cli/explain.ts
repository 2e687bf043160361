import { join } from "node:path";
import { CardeaError } from "../core/errors.ts";
import { systemClock } from "../io/clock.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { formatFlowLine, formatTime } from "../observe/flow-line.ts";
import type { Command, Terminal } from "./command.ts";
import { adviceFor, meaningOf } from "../observe/flow-advice.ts";
import { findFlow } from "./flow-find.ts";
import { listFlowFiles, readFlowsBackward } from "./flow-history.ts";
import { type Replay, replayFlow } from "../control/map/flow-replay.ts";
import { renderStory } from "./flow-story.ts";
import { showPath } from "./flow-text.ts";
import { explainLine } from "./program-name.ts";
import { readRunFile, type RunFile } from "./run-file.ts";
import { findStateDirectory } from "./state-dir.ts";

/** Why a request was denied, from what was recorded: told to the operator, never to the caller. */
export const command: Command = {
  name: "explain",
  summary: "say why a request was denied: policy file and line, the clause that failed, the smallest grant",
  usage: "cardea explain ID [--json | --grant] [--state DIR]",
  example: "cardea explain 9f1c2a7be03d4455",
  positional: { min: 1, max: 1 },
  flags: [
    { name: "json", value: null, summary: "one JSON object" },
    {
      name: "grant",
      value: null,
      summary: "the smallest grant alone, as YAML to be saved (exit code 1: there is none)",
    },
    { name: "state", value: "DIR", summary: "state directory of the mesh" },
  ],
  async run(args, terminal) {
    if (args.isSet("json") && args.isSet("grant")) throw new CardeaError("bad-input", "--json or --grant, not both");
    const id = parseId(args.positional[0] ?? "");
    const paths = await findStateDirectory(args.flag("state"), terminal);
    const flow = await findFlow(paths.flows, id);
    if (flow === null) throw new CardeaError("bad-input", await describeAbsence(id, paths.flows));
    const run = await readRunFile(paths);
    const replay = await replayFlow(flow, { revisionsDirectory: paths.revisions, meshFile: run?.meshFile ?? null });
    if (args.isSet("grant")) return showGrant(replay, terminal);
    if (args.isSet("json")) terminal.stdout(JSON.stringify(toJson(flow, replay)));
    else showStory({ flow, replay, run, stateDirectory: args.isSet("state") ? paths.directory : null }, terminal);
    return 0;
  },
};

/** An id, or the beginning of one that nobody will meet by chance. */
function parseId(text: string): string {
  const id = text.trim().toLowerCase();
  if (/^[0-9a-f]{6,16}$/.test(id)) return id;
  throw new CardeaError(
    "bad-input",
    `${JSON.stringify(text.slice(0, 40))} is no flow id: it is 16 hexadecimal digits, told as x-cardea-denial and by cardea flows`,
  );
}

async function describeAbsence(id: string, directory: string): Promise<string> {
  const files = await listFlowFiles(directory);
  const newest = readFlowsBackward(files);
  const { value, done } = await newest.next();
  await newest.return(undefined);
  const looked = `no such flow: ${id}; looked in ${files.length} ${files.length === 1 ? "file" : "files"} in ${directory}`;
  return done === true
    ? `${looked}; nothing is recorded there yet`
    : `${looked}; the newest is ${value.id} of ${formatTime(value.timeMs)}`;
}

function showGrant(replay: Replay, terminal: Terminal): 0 | 1 {
  const grant = replay.at === "explained" ? replay.explanation.grant : null;
  if (grant === null) {
    terminal.stderr("there is no grant that would allow it; cardea explain without --grant says why");
    return 1;
  }
  terminal.stdout(grant.trimEnd());
  return 0;
}

interface Told {
  readonly flow: FlowRecord;
  readonly replay: Replay;
  readonly run: RunFile | null;
  /** Null where it is found by itself. */
  readonly stateDirectory: string | null;
}

function showStory({ flow, replay, run, stateDirectory }: Told, terminal: Terminal): void {
  const line = explainLine(flow.id, terminal.env, stateDirectory);
  const look = {
    width: terminal.width,
    colour: terminal.colour,
    cwd: terminal.cwd,
    nowMs: systemClock.wallMs(),
    saveLine(name: string) {
      if (run === null) return null;
      return `${line} --grant > ${shellWord(showPath(join(run.policiesDirectory, `${name}.yaml`), terminal.cwd))}`;
    },
  };
  for (const text of renderStory(flow, replay, look)) terminal.stdout(text);
}

/** A path as one word of a POSIX shell. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** What `--json` prints. */
function toJson(flow: FlowRecord, replay: Replay): object {
  const { id, verdict, reason } = flow;
  const recorded: unknown = JSON.parse(formatFlowLine(flow));
  if (replay.at === "explained") {
    const { explanation, disagreement } = replay;
    return { id, verdict, reason, ...explanation, disagreement, flow: recorded };
  }
  const unexplained = replay.at === "impossible" ? replay.why : null;
  return {
    id,
    verdict,
    reason,
    summary: meaningOf(flow.reason),
    advice: adviceFor(reason),
    unexplained,
    flow: recorded,
  };
}
