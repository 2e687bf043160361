import { describe, expect, it } from "vitest";
import { CardeaError } from "../../../src/core/errors.ts";
import { LIMITS } from "../../../src/core/limits.ts";
import type { Clock } from "../../../src/core/ports.ts";
import type { SettledAdmission } from "../../../src/proxy/admission.ts";
import { Asking, type StepAnswer } from "../../../src/proxy/admission-steps.ts";
import { type AskedBodies, AskedBody } from "../../../src/proxy/asked-body.ts";
import { AdmissionWait, type AdmissionWaits } from "../../../src/proxy/admission-wait.ts";
import { createSimClock } from "../../support/sim-clock.ts";

describe("requests that wait to be decided", () => {
  it("are counted, and no more than LIMITS.admissionWaitsMax of them wait", async () => {
    const waits = waitsOf(createSimClock(0));
    const first = waitIn(waits);
    for (let i = 1; i < LIMITS.admissionWaitsMax; i++) waitIn(waits);
    const last = waitIn(waits);
    expect(last.refusedFor).toEqual(["overloaded"]);
    expect(last.asking.signal.aborted).toBe(true);
    expect(first.refusedFor).toEqual([]);
    first.wait.cancel();
    expect(waits.count).toBe(LIMITS.admissionWaitsMax - 1);
    expect(waitIn(waits).refusedFor).toEqual([]);
  });

  it("leave the count once, however often and by whatever way they end", async () => {
    const clock = createSimClock(0);
    const waits = waitsOf(clock);
    const { wait, answer, refusedFor } = waitIn(waits);
    wait.cancel();
    wait.cancel();
    answer(null);
    await Promise.resolve();
    clock.advance(LIMITS.admissionWaitMs * 2);
    expect(waits.count).toBe(0);
    expect(refusedFor).toEqual([]);
  });

  it("are refused when what follows from the answer throws", async () => {
    const waits = waitsOf(createSimClock(0));
    const { answer, refusedFor, settled } = waitIn(waits, () => {
      throw new CardeaError("internal", "broken");
    });
    answer(null);
    await settled;
    expect(refusedFor).toEqual(["internal"]);
    expect(waits.count).toBe(0);
  });

  it("find the signal of a question that is over aborted, however late they ask for it", () => {
    const asking = askingIn({ bodyBytes: 0 });
    asking.end();
    expect(asking.signal.aborted).toBe(true);
  });
});

function askingIn(bodies: AskedBodies): Asking {
  return new Asking(new AskedBody(bodies, true), { call: () => Promise.reject(new Error("nobody is called here")) });
}

function waitsOf(clock: Clock): AdmissionWaits {
  return { clock, count: 0, bodyBytes: 0 };
}

function waitIn(waits: AdmissionWaits, conclude: () => SettledAdmission = () => ({}) as SettledAdmission) {
  const asking = askingIn(waits);
  const { promise, resolve } = Promise.withResolvers<StepAnswer>();
  const refusedFor: string[] = [];
  const refuse = (error: CardeaError) => {
    refusedFor.push(error.code);
    return {} as SettledAdmission;
  };
  const wait = new AdmissionWait(waits, { asking, answer: promise, conclude, refuse });
  const settled = new Promise<void>((done) => wait.begin({ onSettled: () => done(), onBodyWanted: () => {} }));
  return { wait, asking, answer: resolve, refusedFor, settled };
}
