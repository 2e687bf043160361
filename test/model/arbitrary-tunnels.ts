import * as fc from "fast-check";
import { BYTES, onceIn, PIECES } from "./arbitrary-bodies.ts";
import type { Half, Reset, TunnelPlan } from "./tunnel-plan.ts";

const HALF: fc.Arbitrary<Half> = fc
  .record({
    bytes: BYTES,
    pieces: PIECES,
    readerTurns: fc.oneof(
      { weight: 3, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ max: 5, min: 1 }) },
    ),
    ends: fc.constantFrom("at-once" as const, "after-other" as const),
  })
  .map(({ pieces, bytes, ...rest }) => ({
    ...rest,
    bytes,
    pieces: pieces.map((size) => Math.max(size, Math.ceil(bytes / 200))),
  }));

const RESET: fc.Arbitrary<Reset> = fc.record({
  by: fc.constantFrom("caller" as const, "app" as const),
  when: fc.constantFrom("sent" as const, "received" as const),
  afterBytes: BYTES,
});

export const TUNNEL: fc.Arbitrary<TunnelPlan> = fc
  .record({
    kind: fc.constantFrom("websocket" as const, "port" as const, "connect" as const),
    delayTurns: fc.integer({ min: 0, max: 30 }),
    refusedBy: onceIn(8, fc.constantFrom("policy" as const, "app" as const)),
    isEager: fc.boolean(),
    up: HALF,
    down: HALF,
    reset: onceIn(2, RESET),
  })
  .map(toSoundTunnel);

export const TUNNELS = fc.oneof(
  { weight: 2, arbitrary: fc.constant([]) },
  { weight: 3, arbitrary: fc.array(TUNNEL, { minLength: 1, maxLength: 4 }) },
);

function toSoundTunnel(plan: TunnelPlan): TunnelPlan {
  const { up, down } = plan;
  const refusedBy = plan.kind === "websocket" ? plan.refusedBy : null;
  // Somebody has to be the first to end.
  const waitsForEver = up.ends === "after-other" && down.ends === "after-other";
  return {
    ...plan,
    down: waitsForEver ? { ...down, ends: "at-once" } : down,
    refusedBy,
    reset: plan.reset === null || refusedBy !== null ? null : toSoundReset(plan.reset, plan),
  };
}

/** After no more bytes than there are. */
function toSoundReset(reset: Reset, { up, down }: TunnelPlan): Reset {
  const counted = (reset.by === "caller") === (reset.when === "sent") ? up : down;
  return { ...reset, afterBytes: reset.afterBytes % (counted.bytes + 1) };
}
