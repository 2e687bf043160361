import { LIMITS } from "../../src/core/limits.ts";
import { DEFAULT_RETRY } from "../../src/traffic/default-traffic.ts";
import type { Observed } from "./expected.ts";
import type { Plan, RetryRule, World } from "./plan.ts";

// What may be done twice. Of each time that a request reached the app it is known what the app did with it; the next
// time has to be one that a rule asked for, or one that cannot have been the second.

/** How often the request may be tried: as long as a rule asks for another. */
export function triesMaxOf(plan: Plan, rule: RetryRule | null): number {
  let tries = 1;
  while (tries <= (rule?.attempts ?? 0) && asksAfter(rule, outcomesOf(plan, tries - 1))) tries++;
  return tries;
}

/** What the app may have made of it the n-th time. */
function outcomesOf({ failures, cut, answer }: Plan, nth: number): readonly (number | "cut")[] {
  if (nth < failures.length) return [failures[nth]!];
  if (cut?.by !== "app") return [answer.status];
  // Who is cut off within an answer may not have got its head.
  return cut.within === "request" ? ["cut"] : ["cut", answer.status];
}

/** What the app cut short is answered with 502 by its sidecar. */
function asksAfter(rule: RetryRule | null, outcomes: readonly (number | "cut")[]): boolean {
  const statuses = outcomes.map((outcome) => (outcome === "cut" ? 502 : outcome));
  // Nor what his sidecar had passed on of it, before it cut its connection.
  if (rule?.on === "reset") return outcomes.length > 1;
  if (rule?.on === "5xx") return statuses.some((status) => status >= 500);
  return rule?.on === "gateway-error" && statuses.some((status) => status >= 502 && status <= 504);
}

export function repetitionFaultsOf(plan: Plan, seen: Observed, world: World): string[] {
  const { requests, answer, sourceFlows } = seen;
  const { retry } = world;
  const attempts = sourceFlows[0]?.attempts ?? 1;
  const last = requests.length - 1;
  // A connection of HTTP/1.1 that closes does not say whether the request on it was read.
  const mayBeLost = world.app === "http/1.1" && plan.method !== "POST";
  const repeated = requests.slice(0, -1).map((_, nth) => outcomesOf(plan, nth));
  const claims: Record<string, boolean> = {
    "it is tried no more often than the rule allows": attempts <= 2 + (retry ?? DEFAULT_RETRY).attempts,
    "it reaches the app no more often than it is tried": requests.length <= attempts * (mayBeLost ? 2 : 1),
    "what was served is not done again": repeated.every(
      (outcomes) => asksAfter(retry, outcomes) || (mayBeLost && outcomes.includes("cut")),
    ),
    "the planned answer is the last try's": !isPlanned(seen) || last >= plan.failures.length,
    "a failure is the last try's": answer.failure === null || answer.failure === last,
    "the rule's tries are made":
      requests.length === 0 ||
      attempts > (retry?.attempts ?? 0) ||
      !asksAfter(retry, outcomesOf(plan, last)) ||
      !mustBeTried(plan, world),
  };
  return Object.entries(claims).flatMap(([claim, holds]) => (holds ? [] : [claim]));
}

function isPlanned({ answer }: Observed): boolean {
  return answer.status !== null && !answer.isOfSidecar && answer.failure === null;
}

/** With a body that is kept, and nobody who gives up, and within the budget of retries, which are three at the least. */
function mustBeTried({ request, cut }: Plan, { exchanges, retry, drain, app, settings }: World): boolean {
  const retried = exchanges.filter((plan) => triesMaxOf(plan, retry) > 1);
  const isTight = app === "h2" && settings.appStreamsMax < exchanges.length;
  const isKept = request === null || request.bytes <= LIMITS.retryBodyBytesMax;
  return isKept && cut === null && drain === null && retried.length <= 3 && !isTight;
}
