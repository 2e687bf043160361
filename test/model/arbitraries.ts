import * as fc from "fast-check";
import { BYTES, onceIn, PIECES, rarely } from "./arbitrary-bodies.ts";
import { TUNNELS } from "./arbitrary-tunnels.ts";
import type { AnswerPlan, Body, Cut, Drain, Failure, Method, Plan, RetryRule, Settings, World } from "./plan.ts";

const PROTOCOL = fc.constantFrom("http/1.1" as const, "h2" as const);

const BODY: fc.Arbitrary<Body> = fc
  .record({
    bytes: BYTES,
    framing: fc.constantFrom("length" as const, "unknown" as const),
    pieces: PIECES,
    wantsTrailers: fc.boolean(),
    readerTurns: fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ max: 5, min: 1 }) },
    ),
  })
  .map(({ wantsTrailers, pieces, bytes, ...rest }) => ({
    ...rest,
    bytes,
    // No more than some two hundred pieces: a case is to be quick.
    pieces: pieces.map((size) => Math.max(size, Math.ceil(bytes / 200))),
    hasTrailers: wantsTrailers && rest.framing === "unknown",
  }));

const ANSWER: fc.Arbitrary<AnswerPlan> = fc.record({
  status: fc.oneof(
    { weight: 4, arbitrary: fc.constant(200) },
    { weight: 1, arbitrary: fc.constantFrom(201, 204, 304, 404, 500, 503) },
  ),
  hints: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }) }),
  body: BODY,
  when: fc.constantFrom("at-once" as const, "after-request" as const),
});

const CUT: fc.Arbitrary<Cut> = fc.record({
  by: fc.constantFrom("caller" as const, "app" as const),
  within: fc.constantFrom("request" as const, "answer" as const),
  afterBytes: BYTES,
});

const FAILURES: fc.Arbitrary<Failure[]> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Failure[]>([]) },
  {
    weight: 1,
    arbitrary: fc.array(fc.constantFrom<Failure>(500, 503, "cut"), { minLength: 1, maxLength: 4 }),
  },
);

const PLAN: fc.Arbitrary<Plan> = fc
  .record({
    method: fc.constantFrom<Method>("GET", "HEAD", "POST", "POST", "PUT", "DELETE"),
    isDenied: rarely(5),
    delayTurns: fc.integer({ min: 0, max: 30 }),
    request: BODY,
    expectsContinue: rarely(5),
    answer: ANSWER,
    cut: fc.option(CUT, { freq: 2 }),
    failures: FAILURES,
  })
  .map(toSoundPlan);

const SETTINGS: fc.Arbitrary<Settings> = fc.record({
  callerWindow: fc.constantFrom(1_000, 16_384, 65_535, 1_000_000),
  appWindow: fc.constantFrom(1_000, 16_384, 65_535, 1_000_000),
  appStreamsMax: fc.constantFrom(1, 3, 100),
  callerConnections: fc.integer({ min: 1, max: 4 }),
  usesHbone: fc.boolean(),
  permitsTcp: rarely(8).map((isRefused) => !isRefused),
});

const RETRY: fc.Arbitrary<RetryRule> = fc.record({
  on: fc.constantFrom("5xx" as const, "5xx" as const, "gateway-error" as const, "reset" as const),
  attempts: fc.integer({ min: 1, max: 4 }),
});

const DRAIN: fc.Arbitrary<Drain> = fc.record({
  of: fc.constantFrom("caller" as const, "app" as const),
  afterTurns: fc.integer({ min: 0, max: 40 }),
});

/** Any mix of protocols, and a handful of exchanges and tunnels at once. */
export const WORLD: fc.Arbitrary<World> = fc.record({
  caller: PROTOCOL,
  between: PROTOCOL,
  app: PROTOCOL,
  seed: fc.nat(),
  settings: SETTINGS,
  exchanges: fc.array(PLAN, { minLength: 1, maxLength: 8 }),
  tunnels: TUNNELS,
  retry: onceIn(3, RETRY),
  drain: onceIn(4, DRAIN),
});

/** What HTTP does not let one ask for is left out. */
function toSoundPlan(plan: Plan): Plan {
  const hasBody = plan.method === "POST" || plan.method === "PUT";
  const request = hasBody ? plan.request : null;
  const isBodiless = plan.method === "HEAD" || plan.answer.status === 204 || plan.answer.status === 304;
  return {
    ...plan,
    request,
    expectsContinue: plan.expectsContinue && request !== null,
    answer: isBodiless ? { ...plan.answer, body: { ...plan.answer.body, hasTrailers: false } } : plan.answer,
    cut: toSoundCut(plan, isBodiless),
    failures: plan.cut === null && !plan.isDenied && !plan.expectsContinue ? plan.failures : [],
  };
}

function toSoundCut({ cut, answer }: Plan, isBodiless: boolean): Cut | null {
  if (cut === null || cut.within === "request") return cut;
  // Within an answer that has something to cut.
  if (isBodiless || answer.body.bytes === 0) return null;
  return { ...cut, afterBytes: cut.afterBytes % answer.body.bytes };
}
