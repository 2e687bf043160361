import { describe, expect, it } from "vitest";
import { spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { mintJoinToken, spendJoinToken, sweepJoinTokens } from "../../../../src/control/ca/join-token.ts";
import { createMemoryStateFiles } from "../../../support/memory-state-files.ts";
import { createSeededRandom, createSimulatedClock } from "../../../support/simulated-clock.ts";

const WEB = spiffeIdFor("cluster.local", "shop", "web");

function setUp() {
  const ports = {
    files: createMemoryStateFiles(),
    clock: createSimulatedClock(1_800_000_000_000),
    random: createSeededRandom(1),
  };
  const spend = (token: string) => spendJoinToken(ports.files, ports.clock, token);
  return {
    ...ports,
    spend,
    mint: (ttlMs?: number) => mintJoinToken(ports, { spiffeId: WEB, ...(ttlMs === undefined ? {} : { ttlMs }) }),
  };
}

describe("a join token", () => {
  it("gives the identity that it was minted for, and the state never holds the token itself", async () => {
    const mesh = setUp();
    const token = await mesh.mint();
    expect([...mesh.files.texts.entries()].flat().join()).not.toContain(token);
    expect(await mesh.spend(token)).toBe(WEB);
  });

  it("is spent by one of fifty who come at once", async () => {
    const mesh = setUp();
    const token = await mesh.mint();
    const tries = await Promise.allSettled(Array.from({ length: 50 }, () => mesh.spend(token)));
    expect(tries.filter((each) => each.status === "fulfilled")).toHaveLength(1);
  });

  it("is refused a second time", async () => {
    const mesh = setUp();
    const token = await mesh.mint();
    await mesh.spend(token);
    await expect(mesh.spend(token)).rejects.toMatchObject({ code: "attestation-failed" });
  });

  it("is refused and gone when its time is over", async () => {
    const mesh = setUp();
    const token = await mesh.mint(1000);
    await mesh.clock.advance(1000);
    await expect(mesh.spend(token)).rejects.toThrow("has expired");
    expect(mesh.files.texts.size).toBe(0);
  });

  it.each(["", "unknown", "../../ca/root-with-key.pem", "x".repeat(1_000_000)])(
    "is refused when it was never minted (%#)",
    async (token) => {
      await expect(setUp().spend(token)).rejects.toMatchObject({ code: "attestation-failed" });
    },
  );

  it.each([
    ["no JSON", "hello"],
    ["no identity", JSON.stringify({ expiresAt: "2100-01-01T00:00:00Z" })],
    ["an identity that is none", JSON.stringify({ spiffeId: "web", expiresAt: "2100-01-01T00:00:00Z" })],
    ["no end", JSON.stringify({ spiffeId: WEB })],
    ["an end that is no time", JSON.stringify({ spiffeId: WEB, expiresAt: "never" })],
  ])("is refused when its record has %s", async (_what, text) => {
    const mesh = setUp();
    const token = await mesh.mint();
    const [path] = mesh.files.texts.keys();
    mesh.files.texts.set(path!, text);
    await expect(mesh.spend(token)).rejects.toMatchObject({ code: "attestation-failed" });
  });

  it("that nobody used is swept away after its end, the others stay", async () => {
    const mesh = setUp();
    await mesh.mint(1000);
    const later = await mesh.mint(5000);
    await mesh.clock.advance(2000);
    expect(await sweepJoinTokens(mesh.files, mesh.clock)).toBe(1);
    expect(await mesh.spend(later)).toBe(WEB);
  });
});
