import { describe, expect, it } from "vitest";
import { parseTrustDomain, spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { openAuthority } from "../../../../src/control/ca/authority.ts";
import { createSvidIssuer, type IssueSvid } from "../../../../src/control/ca/issue.ts";
import { holdServingIdentity } from "../../../../src/control/ca/serving-identity.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryStateFiles } from "../../../support/memory-state-files.ts";
import { createSeededRandom, createSimulatedClock } from "../../../support/simulated-clock.ts";

const MINUTE_MS = 60_000;
const CONTROL = spiffeIdFor("cluster.local", "cardea-system", "cardea-control");

async function setUp() {
  const clock = createSimulatedClock(1_800_000_000_000);
  const random = createSeededRandom(1);
  const logger = createKeptLog();
  const trustDomain = parseTrustDomain("cluster.local");
  const authority = await openAuthority({ files: createMemoryStateFiles(), trustDomain, clock, random, logger });
  const real = createSvidIssuer({ authority, clock, random });
  const faults: Error[] = [];
  const issue: IssueSvid = async (request) => {
    const fault = faults.pop();
    if (fault !== undefined) throw fault;
    return real(request);
  };
  const holder = await holdServingIdentity({ spiffeId: CONTROL, issue, clock, logger });
  return { clock, holder, faults, logger };
}

describe("the control plane's own certificate", () => {
  it("is renewed at each half of its hour, with another key", async () => {
    const { clock, holder } = await setUp();
    const seen = new Set([holder.material.get().keyPem]);
    holder.material.subscribe((material) => seen.add(material.keyPem));
    await clock.advance(29 * MINUTE_MS);
    expect(seen.size).toBe(1);
    await clock.advance(2 * MINUTE_MS);
    expect(seen.size).toBe(2);
    await clock.advance(30 * MINUTE_MS);
    expect(seen.size).toBe(3);
  });

  it("is kept while issuing fails, and renewed half a minute later", async () => {
    const { clock, holder, faults, logger } = await setUp();
    const first = holder.material.get();
    faults.push(new Error("once"));
    await clock.advance(30 * MINUTE_MS);
    expect(holder.material.get()).toBe(first);
    expect(logger.events()).toContain("own-svid-failed");
    await clock.advance(MINUTE_MS);
    expect(holder.material.get()).not.toBe(first);
  });

  it("is renewed within half a minute after a sleep over its time", async () => {
    const { clock, holder } = await setUp();
    const first = holder.material.get();
    clock.setWall(clock.wallMs() + 8 * 60 * MINUTE_MS);
    await clock.advance(30_000);
    expect(holder.material.get()).not.toBe(first);
  });

  it("is issued anew when a clock that was ahead is set right: the old one would not be valid for hours", async () => {
    const { clock, holder } = await setUp();
    clock.setWall(clock.wallMs() + 120 * MINUTE_MS);
    await clock.advance(30_000);
    const ahead = holder.material.get();
    clock.setWall(clock.wallMs() - 120 * MINUTE_MS);
    await clock.advance(30_000);
    const right = holder.material.get();
    expect(right).not.toBe(ahead);
    expect(holder.notAfterMs()).toBeLessThan(clock.wallMs() + 61 * MINUTE_MS);
    await clock.advance(60_000);
    expect(holder.material.get()).toBe(right);
  });

  it("is not renewed any more once closed", async () => {
    const { clock, holder } = await setUp();
    const first = holder.material.get();
    holder.close();
    await clock.advance(60 * MINUTE_MS);
    expect(holder.material.get()).toBe(first);
    expect(clock.timers).toBe(0);
  });
});
