import { CardeaError } from "../../core/errors.ts";
import { FLOW_PROTOCOLS, REPORTERS, VERDICTS } from "../../observe/flow.ts";
import type { FlowFilter } from "./query.ts";

// A filter as the query of a URL, on both ends of the admin port.

/** All of the filter but `source` and `destination`, which are asked for by names there. */
export function writeFlowQuery(filter: FlowFilter): URLSearchParams {
  const query = new URLSearchParams();
  const add = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) query.append(name, String(value));
  };
  add("from", filter.fromMs === undefined ? undefined : Math.max(0, Math.floor(filter.fromMs)));
  add("to", filter.toMs === undefined ? undefined : Math.max(0, Math.ceil(filter.toMs)));
  for (const verdict of filter.verdicts ?? []) add("verdict", verdict);
  add("reporter", filter.reporter);
  for (const name of filter.names ?? []) add("name", name);
  for (const name of filter.sourceNames ?? []) add("source", name);
  for (const name of filter.destinationNames ?? []) add("destination", name);
  for (const name of filter.inNamespaces ?? []) add("namespace", name);
  add("protocol", filter.protocol);
  add("method", filter.method);
  add("path", filter.pathPrefix);
  add("status-from", filter.statusFrom);
  add("status-to", filter.statusTo);
  add("trace", filter.traceId);
  add("dry-run", filter.dryRun);
  if (filter.isAudited === true) add("audited", "true");
  return query;
}

/** Errors: `bad-input`. */
export function readFlowQuery(query: URLSearchParams): FlowFilter {
  const filter = {
    fromMs: wholeNumber(query, "from"),
    toMs: wholeNumber(query, "to"),
    verdicts: query.getAll("verdict").map((word) => wordOf(word, VERDICTS)),
    reporter: optionalWord(query, "reporter", REPORTERS),
    names: query.getAll("name"),
    sourceNames: query.getAll("source"),
    destinationNames: query.getAll("destination"),
    inNamespaces: query.getAll("namespace"),
    protocol: optionalWord(query, "protocol", FLOW_PROTOCOLS),
    method: query.get("method") ?? undefined,
    pathPrefix: query.get("path") ?? undefined,
    statusFrom: wholeNumber(query, "status-from"),
    statusTo: wholeNumber(query, "status-to"),
    traceId: traceOf(query),
    dryRun: optionalWord(query, "dry-run", ["allowed", "denied", "any"]),
    isAudited: optionalWord(query, "audited", ["true"]) === undefined ? undefined : true,
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}

/** Errors: `bad-input`. */
export function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new CardeaError("bad-input", `${name} is a whole number`);
  return Number(text);
}

/** Errors: `bad-input`. */
export function optionalWord<Word extends string>(
  query: URLSearchParams,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const text = query.get(name);
  return text === null ? undefined : wordOf(text, words);
}

function wordOf<Word extends string>(text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text);
  if (found === undefined) throw new CardeaError("bad-input", `${words.join(", ")} are the words here`);
  return found;
}

function traceOf(query: URLSearchParams): string | undefined {
  const text = query.get("trace") ?? undefined;
  if (text === undefined || /^[0-9a-f]{32}$/.test(text)) return text;
  throw new CardeaError("bad-input", "a trace id is 32 hex digits");
}
