import { writeFlowQuery } from "../control/flows/flow-query-text.ts";
import type { FlowFilter } from "../control/flows/query.ts";
import { toCardeaError } from "../core/errors.ts";
import { FLOW_LIMITS } from "../core/flow-limits.ts";
import type { Address } from "../core/ports.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { askFlows } from "./flow-store.ts";

const FIRST_PAGE = 100;

/**
 * What the store has, the newest first; read no further than asked for. Where it does not answer that is told, and what
 * has come until then is all.
 */
export async function* readStoreBackward(
  store: Address,
  filter: FlowFilter,
  onFailure: (why: string) => void,
): AsyncGenerator<FlowRecord> {
  let limit = FIRST_PAGE;
  for (let cursor: string | null | undefined; cursor !== null; limit = FLOW_LIMITS.flowAnswerMax) {
    const query = writeFlowQuery(filter);
    query.set("limit", String(limit));
    if (cursor !== undefined) query.set("cursor", cursor);
    let page;
    try {
      page = await askFlows(store, query);
    } catch (thrown) {
      onFailure(toCardeaError(thrown).message);
      return;
    }
    yield* page.flows;
    ({ cursor } = page);
  }
}

/**
 * What of a filter the store may sieve, where both sidecars' records of a request are to be shown as one: what is true of
 * one of them alone, as a verdict, may take the other away, and would show what it says instead.
 */
export function sieveFor(filter: FlowFilter, showsBoth: boolean): FlowFilter {
  if (showsBoth) return filter;
  const { verdicts = [], ...rest } = filter;
  // Only whoever decided says so, and the other half has nothing to say against it.
  const isDenial = verdicts.length > 0 && verdicts.every((verdict) => verdict === "denied" || verdict === "would-deny");
  return isDenial ? filter : rest;
}

/** How far apart the same record may stand in a file and in the store. */
const APART_MS_MAX = 10_000;

/** Each record once, of several sources that are merged by time. */
export async function* withoutTwins(newestFirst: AsyncIterable<FlowRecord>): AsyncGenerator<FlowRecord> {
  const seen = new Map<string, number>();
  for await (const flow of newestFirst) {
    for (const [oldest, timeMs] of seen) {
      if (timeMs - flow.timeMs <= APART_MS_MAX) break;
      seen.delete(oldest);
    }
    const key = `${flow.reporter} ${flow.id}`;
    if (seen.has(key)) continue;
    seen.set(key, flow.timeMs);
    yield flow;
  }
}
