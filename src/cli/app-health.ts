import type { AppProbe, ProbeOutcome } from "../core/app-probe.ts";
import type { AdminAnswer, AdminRoute } from "../io/http-admin.ts";

/** Asks the app once; never rejects. */
export type RunProbe = (probe: AppProbe) => Promise<ProbeOutcome>;

const TEXT = "text/plain; charset=utf-8";

/**
 * A route for each probe that injection took over. The port has no login, so whoever reaches it may ask: it tells whether
 * the app is well and no more, and many who ask at once cost the app one question.
 */
export function appHealthRoutes(probes: readonly AppProbe[], run: RunProbe): readonly AdminRoute[] {
  return probes.map((probe) => ({ path: probe.path, answer: shared(async () => answerOf(await run(probe))) }));
}

/** While one is under way, all get its answer. */
function shared(ask: () => Promise<AdminAnswer>): () => Promise<AdminAnswer> {
  let asking: Promise<AdminAnswer> | null = null;
  return () => {
    asking ??= ask().finally(() => {
      asking = null;
    });
    return asking;
  };
}

function answerOf(outcome: ProbeOutcome): AdminAnswer {
  if (outcome.ok) return { status: 200, contentType: TEXT, body: "ok\n" };
  // The kubelet shows this in the pod's events, so the reason has to be in it.
  return { status: 503, contentType: TEXT, body: `${outcome.why}\n` };
}
