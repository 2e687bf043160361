import { expect, test } from "vitest";
import { appHealthRoutes } from "../../../src/cli/app-health.ts";
import type { ProbeOutcome } from "../../../src/core/app-probe.ts";

const PROBE = { path: "/app-health/web/livez", timeoutMs: 1_000, check: { kind: "tcp", port: 80 } } as const;
const NOTHING = new URLSearchParams();

test("the kubelet is told what the app said, with the reason", async () => {
  const outcomes: ProbeOutcome[] = [{ ok: true }, { ok: false, why: "the app answered 500" }];
  const [route] = appHealthRoutes([PROBE], () => Promise.resolve(outcomes.shift()!));
  expect(route?.path).toBe(PROBE.path);
  expect(await route!.answer(NOTHING)).toMatchObject({ status: 200, body: "ok\n" });
  expect(await route!.answer(NOTHING)).toMatchObject({ status: 503, body: "the app answered 500\n" });
});

test("many who ask at once cost the app one question", async () => {
  let asked = 0;
  const replies: ((outcome: ProbeOutcome) => void)[] = [];
  const [route] = appHealthRoutes([PROBE], () => {
    asked += 1;
    return new Promise((resolve) => void replies.push(resolve));
  });
  const answers = Array.from({ length: 100 }, async () => route!.answer(NOTHING));
  replies.shift()?.({ ok: false, why: "no" });
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array(100).fill(503));
  expect(asked).toBe(1);
  const next = route!.answer(NOTHING);
  replies.shift()?.({ ok: true });
  expect(await next).toMatchObject({ status: 200 });
  expect(asked).toBe(2);
});
