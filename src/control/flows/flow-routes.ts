import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { AdminAnswer, AdminRoute } from "../../io/http-admin.ts";
import { formatFlowLine } from "../../observe/flow-line.ts";
import { optionalWord, readFlowQuery, wholeNumber } from "./flow-query-text.ts";
import type { FlowQueries } from "./query.ts";

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
      const limit = wholeNumber(query, "limit") ?? FLOW_LIMITS.flowAnswerMax;
      const answer = await queries.flows({
        filter: readFlowQuery(query),
        namespaces,
        limit,
        ...(cursor === null ? {} : { cursor }),
        order: optionalWord(query, "order", ["newest-first", "oldest-first"]) ?? "newest-first",
      });
      return [...answer.flows.map(formatFlowLine), JSON.stringify({ cursor: answer.cursor })];
    }),
    route(FLOW_PATHS.flow, async (query) =>
      (await queries.flow(query.get("id") ?? "", namespaces)).map(formatFlowLine),
    ),
    route(FLOW_PATHS.edges, async (query) => {
      const [fromMs, toMs] = [wholeNumber(query, "from"), wholeNumber(query, "to")];
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
