import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { AdminAnswer, AdminRoute } from "../../io/http-admin.ts";
import { FLOW_PROTOCOLS, REPORTERS, VERDICTS } from "../../observe/flow.ts";
import { formatFlowLine } from "../../observe/flow-line.ts";
import type { FlowFilter, FlowQueries } from "./query.ts";

/** Where the control plane's admin port answers questions about flows. */
export const FLOW_PATHS = { flows: "/flows", flow: "/flow", edges: "/edges", span: "/flows/span" } as const;

/**
 * Answers as JSON; flows as lines, with the cursor of the next page in a last line of its own. The port is on loopback and
 * tells everything: whoever runs the control plane may read it all.
 */
export function flowRoutes(queries: FlowQueries): readonly AdminRoute[] {
  const namespaces = "all";
  return [
    route(FLOW_PATHS.flows, async (query) => {
      const cursor = query.get("cursor");
      const limit = numberOf(query, "limit") ?? FLOW_LIMITS.flowAnswerMax;
      const answer = await queries.flows({
        filter: filterOf(query),
        namespaces,
        limit,
        ...(cursor === null ? {} : { cursor }),
      });
      return [...answer.flows.map(formatFlowLine), JSON.stringify({ cursor: answer.cursor })];
    }),
    route(FLOW_PATHS.flow, async (query) =>
      (await queries.flow(query.get("id") ?? "", namespaces)).map(formatFlowLine),
    ),
    route(FLOW_PATHS.edges, async (query) => {
      const [fromMs, toMs] = [numberOf(query, "from"), numberOf(query, "to")];
      if (fromMs === undefined || toMs === undefined || fromMs >= toMs)
        throw new CardeaError("bad-input", "from and to are milliseconds since 1970, in that order");
      const some = query.getAll("namespace");
      return [
        JSON.stringify(
          await queries.edges({ fromMs, toMs, namespaces: some.length === 0 ? namespaces : new Set(some) }),
        ),
      ];
    }),
    route(FLOW_PATHS.span, async () => [JSON.stringify(await queries.span())]),
  ];
}

function route(path: string, lines: (query: URLSearchParams) => Promise<readonly string[]>): AdminRoute {
  return {
    path,
    answer: async (query): Promise<AdminAnswer> => {
      try {
        const body = (await lines(query)).map((line) => `${line}\n`).join("");
        return { status: 200, contentType: "application/json", body };
      } catch (thrown) {
        const { code, message } = toCardeaError(thrown);
        const status = code === "bad-input" ? 400 : 503;
        return { status, contentType: "application/json", body: `${JSON.stringify({ code, message })}\n` };
      }
    },
  };
}

/** Errors: `bad-input`. */
function filterOf(query: URLSearchParams): FlowFilter {
  const filter = {
    fromMs: numberOf(query, "from"),
    toMs: numberOf(query, "to"),
    verdicts: query.getAll("verdict").map((word) => wordOf(word, VERDICTS)),
    reporter: optionalWord(query, "reporter", REPORTERS),
    names: query.getAll("name"),
    protocol: optionalWord(query, "protocol", FLOW_PROTOCOLS),
    method: query.get("method") ?? undefined,
    pathPrefix: query.get("path") ?? undefined,
    statusFrom: numberOf(query, "status-from"),
    statusTo: numberOf(query, "status-to"),
    traceId: query.get("trace") ?? undefined,
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new CardeaError("bad-input", `${name} is a whole number`);
  return Number(text);
}

function optionalWord<Word extends string>(
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
