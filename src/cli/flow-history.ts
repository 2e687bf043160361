import { join } from "node:path";
import { listFiles } from "../io/files.ts";
import { readLinesBackward } from "../io/lines-backward.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { parseFlowLine } from "../observe/flow-line.ts";

const SUFFIX = ".jsonl";

/** The flow files of all sidecars in a directory, without their rotated predecessors. */
export async function listFlowFiles(directory: string): Promise<readonly string[]> {
  const names = await listFiles(directory);
  return names.filter((name) => name.endsWith(SUFFIX)).map((name) => join(directory, name));
}

/** Where a flow file's lines went when it was rotated (io/line-file.ts). */
export function predecessorOf(path: string): string {
  return `${path}.1`;
}

/** All that the sidecars have recorded, the newest first; read no further than asked for. Torn lines are left out. */
export function readFlowsBackward(paths: readonly string[]): AsyncGenerator<FlowRecord> {
  return mergeBackward(paths.map(recordsOf));
}

/** Several that are each in the order of time, the newest first, as one. */
export async function* mergeBackward(all: readonly AsyncGenerator<FlowRecord>[]): AsyncGenerator<FlowRecord> {
  const sources = await Promise.all(all.map(advance));
  let open = sources.filter((source) => source !== null);
  try {
    while (open.length > 0) {
      const newest = open.reduce((best, each) => (each.head.timeMs > best.head.timeMs ? each : best));
      yield newest.head;
      const next = await advance(newest.rest);
      open = open.flatMap((each) => (each !== newest ? [each] : next === null ? [] : [next]));
    }
  } finally {
    for (const { rest } of open) await rest.return(undefined);
  }
}

interface Source {
  readonly head: FlowRecord;
  readonly rest: AsyncGenerator<FlowRecord>;
}

async function advance(rest: AsyncGenerator<FlowRecord>): Promise<Source | null> {
  const { value, done } = await rest.next();
  return done === true ? null : { head: value, rest };
}

async function* recordsOf(path: string): AsyncGenerator<FlowRecord> {
  for (const file of [path, predecessorOf(path)]) {
    for await (const line of readLinesBackward(file)) {
      const flow = parseFlowLine(line);
      if (flow !== null) yield flow;
    }
  }
}
