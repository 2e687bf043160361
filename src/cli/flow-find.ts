import { findLastLine } from "../io/lines-backward.ts";
import { readModifiedMs } from "../io/files.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { parseFlowLine } from "../observe/flow-line.ts";
import { listFlowFiles, predecessorOf } from "./flow-history.ts";

/** A flow by its id or the beginning of one, the newest where several begin so; null when no file has it. */
export async function findFlow(directory: string, id: string): Promise<FlowRecord | null> {
  // Quotes inside a field are escaped, so the needle is found at the field itself alone.
  const found = await findNewest(directory, `"id":"${id}`);
  if (found === null) return null;
  return withGroup(directory, (await findDestinationHalf(directory, found)) ?? found);
}

/** For a source's record the destination's of the same request, which decided and knows more. */
async function findDestinationHalf(directory: string, flow: FlowRecord): Promise<FlowRecord | null> {
  if (flow.reporter === "destination" || flow.spanId === null) return null;
  const other = await findNewest(directory, `"parentSpanId":"${flow.spanId}"`);
  return other?.reporter === "destination" && other.traceId === flow.traceId ? other : null;
}

/** A TLS server is not told the key-exchange group; the other end of the connection has recorded it. */
async function withGroup(directory: string, flow: FlowRecord): Promise<FlowRecord> {
  const { tls, parentSpanId, traceId } = flow;
  if (tls.version === null || tls.group !== null || parentSpanId === null) return flow;
  const source = await findNewest(directory, `"spanId":"${parentSpanId}"`);
  return source === null || source.traceId !== traceId ? flow : { ...flow, tls: { ...tls, group: source.tls.group } };
}

async function findNewest(directory: string, needle: string): Promise<FlowRecord | null> {
  for (const path of await newestFirst(await listFlowFiles(directory))) {
    const line = await findLastLine(path, needle);
    const flow = line === null ? null : parseFlowLine(line);
    if (flow !== null) return flow;
  }
  return null;
}

/** What is asked about has mostly just happened. Rotated files come last. */
async function newestFirst(paths: readonly string[]): Promise<readonly string[]> {
  const written = await Promise.all(paths.map(async (path) => ({ path, atMs: await readModifiedMs(path) })));
  const current = written.toSorted((a, b) => b.atMs - a.atMs).map(({ path }) => path);
  return [...current, ...current.map(predecessorOf)];
}
