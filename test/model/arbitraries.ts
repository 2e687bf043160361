import * as fc from "fast-check";
import type { AnswerPlan, Body, Cut, Method, Plan, Settings, World } from "./plan.ts";

const PROTOCOL = fc.constantFrom("http/1.1" as const, "h2" as const);

const BYTES = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 100 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 20_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 400_000 }) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 262_144, 262_145) },
);

const PIECES = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 500, max: 70_000 }), fc.constant(16_384)),
  { minLength: 1, maxLength: 4 },
);

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

const PLAN: fc.Arbitrary<Plan> = fc
  .record({
    method: fc.constantFrom<Method>("GET", "HEAD", "POST", "POST", "PUT", "DELETE"),
    isDenied: rarely(5),
    delayTurns: fc.integer({ min: 0, max: 30 }),
    request: BODY,
    expectsContinue: rarely(5),
    answer: ANSWER,
    cut: fc.option(CUT, { freq: 2 }),
  })
  .map(toSoundPlan);

const SETTINGS: fc.Arbitrary<Settings> = fc.record({
  callerWindow: fc.constantFrom(1_000, 16_384, 65_535, 1_000_000),
  appWindow: fc.constantFrom(1_000, 16_384, 65_535, 1_000_000),
  appStreamsMax: fc.constantFrom(1, 3, 100),
  callerConnections: fc.integer({ min: 1, max: 4 }),
});

/** Any mix of protocols, and a handful of exchanges at once. */
export const WORLD: fc.Arbitrary<World> = fc.record({
  caller: PROTOCOL,
  between: PROTOCOL,
  app: PROTOCOL,
  seed: fc.nat(),
  settings: SETTINGS,
  exchanges: fc.array(PLAN, { minLength: 1, maxLength: 8 }),
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
  };
}

function toSoundCut({ cut, answer }: Plan, isBodiless: boolean): Cut | null {
  if (cut === null || cut.within === "request") return cut;
  // Within an answer that has something to cut.
  if (isBodiless || answer.body.bytes === 0) return null;
  return { ...cut, afterBytes: cut.afterBytes % answer.body.bytes };
}

function rarely(oneIn: number): fc.Arbitrary<boolean> {
  return fc.integer({ min: 1, max: oneIn }).map((drawn) => drawn === oneIn);
}
