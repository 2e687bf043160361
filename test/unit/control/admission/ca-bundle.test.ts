import { describe, expect, test } from "vitest";
import { type CaBundlePort, keepCaBundle } from "../../../../src/control/admission/ca-bundle.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";

function setUp(patchCaBundle: CaBundlePort["patchCaBundle"]) {
  const clock = createSimulatedClock(0);
  const logger = createKeptLog();
  const roots = { pem: "one" };
  const calls: string[] = [];
  const configurations: CaBundlePort = {
    async patchCaBundle(kind, name, pem) {
      calls.push(`${kind} ${name} ${pem}`);
      return await patchCaBundle(kind, name, pem);
    },
  };
  const names = { injector: "cardea-injector", validator: "cardea-validator" };
  const kept = keepCaBundle({ configurations, ...names, rootsPem: () => roots.pem, clock, logger });
  return { clock, logger, roots, calls, kept };
}

describe("the roots in the webhook configurations", () => {
  test("are put in at once, and looked after, as somebody may apply the manifests anew", async () => {
    const { clock, calls } = setUp(async () => true);
    await clock.advance(0);
    expect(calls).toEqual(["mutating cardea-injector one", "validating cardea-validator one"]);
    await clock.advance(30_000);
    expect(calls.length).toBeGreaterThanOrEqual(4);
  });

  test("follow the authority's", async () => {
    const { clock, calls, roots } = setUp(async () => true);
    await clock.advance(0);
    roots.pem = "one two";
    await clock.advance(16_000);
    expect(calls.at(-1)).toBe("validating cardea-validator one two");
  });

  test("one that cannot be patched does not keep the other from it; it is tried again", async () => {
    let isAway = true;
    const { clock, calls, logger } = setUp(async (kind) => {
      if (kind === "mutating" && isAway) throw new Error("away");
      return true;
    });
    await clock.advance(0);
    expect(calls).toContain("validating cardea-validator one");
    expect(logger.events()).toEqual(["ca-bundle-not-patched"]);
    isAway = false;
    await clock.advance(16_000);
    expect(logger.events()).toEqual(["ca-bundle-not-patched"]);
    expect(calls.filter((each) => each.startsWith("mutating"))).toHaveLength(2);
  });

  test("a configuration that is not there is said", async () => {
    const { clock, logger } = setUp(async () => false);
    await clock.advance(0);
    expect(logger.events()).toEqual(["webhook-configuration-absent", "webhook-configuration-absent"]);
  });

  test("are left alone once it is closed", async () => {
    const { clock, calls, kept } = setUp(async () => true);
    await clock.advance(0);
    kept.close();
    await clock.advance(60_000);
    expect(calls).toHaveLength(2);
  });
});
