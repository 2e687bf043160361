import type { HubbleFilter } from "../../api/hubble-messages.ts";
import { type Reporter, VERDICTS } from "../../observe/flow.ts";
import type { FlowFilter } from "../flows/query.ts";
import { VERDICT_OF } from "./flow-message.ts";
import type { FlowsRequest } from "./flows-request.ts";

type Asked = Pick<FlowsRequest, "whitelist" | "sinceMs" | "untilMs">;

/**
 * What the store can sieve of a request: it takes every flow that the request's own filters take, and others. Only what
 * all of the whitelist's filters ask for narrows it.
 */
export function storeFilterOf({ whitelist, sinceMs, untilMs }: Asked): FlowFilter {
  const verdicts = inAll(whitelist, ({ verdict }) => verdict);
  const directions = inAll(whitelist, ({ trafficDirection }) => trafficDirection);
  const protocols = inAll(whitelist, ({ protocol }) => protocol.map((name) => name.toLowerCase()));
  const traces = inAll(whitelist, ({ traceId }) => traceId);
  const namespaces = inAll(whitelist, namespacesOf);
  return {
    ...(sinceMs === null ? {} : { fromMs: Math.floor(sinceMs) }),
    ...(untilMs === null ? {} : { toMs: Math.floor(untilMs) + 1 }),
    ...(verdicts === null ? {} : { verdicts: VERDICTS.filter((verdict) => verdicts.has(VERDICT_OF[verdict])) }),
    ...reporterOf(directions),
    ...(protocols?.size === 1 && protocols.has("http") ? { protocol: "http" } : {}),
    ...(traces?.size === 1 && TRACE.test([...traces][0]!) ? { traceId: [...traces][0]! } : {}),
    ...(namespaces === null ? {} : { inNamespaces: [...namespaces] }),
  };
}

const TRACE = /^[0-9a-f]{32}$/;

/** All values of a field, where every filter restricts it; else null. */
function inAll<Value>(
  filters: readonly HubbleFilter[],
  of: (filter: HubbleFilter) => readonly Value[],
): ReadonlySet<Value> | null {
  const lists = filters.map(of);
  return lists.length === 0 || lists.some((list) => list.length === 0) ? null : new Set(lists.flat());
}

/** Namespaces of which one must be on either side. */
function namespacesOf({ sourcePod, destinationPod }: HubbleFilter): readonly string[] {
  const named = sourcePod.length > 0 ? sourcePod : destinationPod;
  const namespaces = named.map((text) => (text.includes("/") ? text.split("/")[0]! : "default"));
  return namespaces.includes("") ? [] : namespaces;
}

function reporterOf(directions: ReadonlySet<string | number> | null): { readonly reporter?: Reporter } {
  if (directions?.size !== 1) return {};
  if (directions.has("INGRESS")) return { reporter: "destination" };
  return directions.has("EGRESS") ? { reporter: "source" } : {};
}
