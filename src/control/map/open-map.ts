import type { MapFlow } from "../../api/map-messages.ts";
import { toCardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Latest } from "../../core/latest.ts";
import type { Address, Listening, Logger } from "../../core/ports.ts";
import { openPageServer, type PageAnswer, type PageRequest, type PageServerOptions } from "../../io/page-server.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import { MAP_ANSWERS, type MapSources } from "./answers.ts";
import { mapFlow } from "./flow-page.ts";
import { type GuardRules, refusal, refuseRequest, withSecurityHeaders } from "./guard.ts";
import { liveEvents } from "./live.ts";
import { openPages, type Pages } from "./pages.ts";
import { Places } from "./places.ts";
import type { Authenticate, Reader } from "./readers.ts";

export interface MapOptions extends MapSources {
  readonly listen: Address;
  /** Null: plain HTTP, for loopback alone. */
  readonly tls: PageServerOptions["tls"];
  readonly authenticate: Authenticate;
  readonly registry: Latest<unknown>;
  readonly logger: Logger;
}

/**
 * Serves the map: the page to anybody who reaches the port, which holds nothing; what it shows to readers. Nothing can be
 * changed from here. Errors: `unreachable` when the port is taken.
 */
export async function openMap(options: MapOptions): Promise<Listening> {
  const pages = await openPages();
  const rules: GuardRules =
    options.tls === null ? { hosts: "loopback", scheme: "http" } : { hosts: "any", scheme: "https" };
  const watchers = { count: 0 };
  return openPageServer({
    at: options.listen,
    tls: options.tls,
    connectionsMax: FLOW_LIMITS.mapConnectionsMax,
    async answer(request) {
      const refused = refuseRequest(request, rules);
      return withSecurityHeaders(refused ?? (await answer(request, { options, pages, watchers })));
    },
  });
}

interface Context {
  readonly options: MapOptions;
  readonly pages: Pages;
  readonly watchers: { count: number };
}

async function answer(request: PageRequest, context: Context): Promise<PageAnswer> {
  const { path } = request;
  if (!path.startsWith("/api/")) return (await context.pages.find(path)) ?? refusal(404, "no such page");
  const reader = await context.options.authenticate(request.header("authorization"));
  if (reader === null)
    return fault(401, "unauthenticated", "a reader's token is needed", { "www-authenticate": "Bearer" });
  if (path === "/api/live") return live(request, reader, context);
  return ask(request, reader, context.options);
}

async function ask({ path, query }: PageRequest, reader: Reader, options: MapOptions): Promise<PageAnswer> {
  const asked = MAP_ANSWERS.get(path);
  if (asked === undefined) return fault(404, "bad-input", "no such question");
  try {
    return { status: 200, headers: JSON_TYPE, body: JSON.stringify(await asked(query, reader, options)) };
  } catch (thrown) {
    const { code, message } = toCardeaError(thrown);
    if (code === "bad-input") return fault(400, code, message);
    // A fault of ours is for the log; the page is told what it can say.
    options.logger.log("error", "map-not-answered", { code, error: message });
    return fault(503, code, "the flow store does not answer");
  }
}

function live({ signal }: PageRequest, reader: Reader, { options, watchers }: Context): PageAnswer {
  if (watchers.count >= FLOW_LIMITS.mapWatchersMax)
    return fault(503, "overloaded", `${FLOW_LIMITS.mapWatchersMax} pages are watching already`);
  const { flows, clock, registry, policies, policyFaults, ground } = options;
  watchers.count += 1;
  signal.addEventListener("abort", () => (watchers.count -= 1), { once: true });
  const toMapFlow = (flow: FlowRecord): MapFlow => mapFlow(flow, new Places(ground.workloads()), reader);
  const onChange = (changed: () => void): (() => void) => {
    const endings = [registry, policies, policyFaults].map((cell) => cell.subscribe(changed));
    return () => endings.forEach((end) => end());
  };
  const body = liveEvents({ flows, clock, toMapFlow, onChange }, reader, signal);
  return { status: 200, headers: { "content-type": "text/event-stream; charset=utf-8" }, body };
}

const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

// oxlint-disable-next-line max-params -- A status, what it means, and what goes with it.
function fault(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): PageAnswer {
  return { status, headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify({ code, message }) };
}
