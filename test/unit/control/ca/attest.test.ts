import { describe, expect, it } from "vitest";
import { parseTrustDomain, spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { createAttestor } from "../../../../src/control/ca/attest.ts";
import { mintJoinToken } from "../../../../src/control/ca/join-token.ts";
import { generateKeyPair } from "../../../../src/pki/keys.ts";
import { createMemoryStateFiles } from "../../../support/memory-state-files.ts";
import { createSeededRandom, createSimulatedClock } from "../../../support/simulated-clock.ts";

const WEB = spiffeIdFor("cluster.local", "shop", "web");
const LEDGER = spiffeIdFor("cluster.local", "shop", "ledger");
const FOREIGN = spiffeIdFor("other.example", "shop", "web");

async function setUp(spiffeId = WEB) {
  const clock = createSimulatedClock(1_800_000_000_000);
  const files = createMemoryStateFiles();
  const token = await mintJoinToken({ files, clock, random: createSeededRandom(1) }, { spiffeId });
  const trustDomain = parseTrustDomain("cluster.local");
  return { clock, token, attest: createAttestor({ files, clock, trustDomain }) };
}

describe("attestation", () => {
  const mine = generateKeyPair().publicKey;
  const another = generateKeyPair().publicKey;

  it("by token gives the token's identity, whatever certificate is shown beside it", async () => {
    const { attest, token } = await setUp();
    const evidence = { joinToken: token, caller: LEDGER, publicKey: mine };
    expect(await attest(evidence)).toEqual({ spiffeId: WEB, method: "join-token" });
  });

  it("by certificate gives the certificate's identity", async () => {
    const { attest } = await setUp();
    const evidence = { joinToken: null, caller: LEDGER, publicKey: mine };
    expect(await attest(evidence)).toEqual({ spiffeId: LEDGER, method: "svid" });
  });

  it("by a spent token is good again for the same key within a minute, since the answer may have been lost", async () => {
    const { attest, token, clock } = await setUp();
    const evidence = { joinToken: token, caller: null, publicKey: mine };
    await attest(evidence);
    await clock.advance(59_000);
    expect(await attest(evidence)).toEqual({ spiffeId: WEB, method: "join-token" });
    await clock.advance(1_000);
    await expect(attest(evidence)).rejects.toMatchObject({ code: "attestation-failed" });
  });

  it("refuses a spent token with another key", async () => {
    const { attest, token } = await setUp();
    await attest({ joinToken: token, caller: null, publicKey: mine });
    await expect(attest({ joinToken: token, caller: null, publicKey: another })).rejects.toMatchObject({
      code: "attestation-failed",
    });
  });

  it("refuses a bad token although a good certificate is shown", async () => {
    const { attest } = await setUp();
    await expect(attest({ joinToken: "wrong", caller: WEB, publicKey: mine })).rejects.toMatchObject({
      code: "attestation-failed",
    });
  });

  it("refuses a caller that shows nothing", async () => {
    const { attest } = await setUp();
    await expect(attest({ joinToken: null, caller: null, publicKey: mine })).rejects.toMatchObject({
      code: "attestation-failed",
    });
  });

  it("refuses identities of other trust domains, by certificate and by token", async () => {
    const { attest, token } = await setUp(FOREIGN);
    await expect(attest({ joinToken: null, caller: FOREIGN, publicKey: mine })).rejects.toMatchObject({
      code: "attestation-failed",
    });
    await expect(attest({ joinToken: token, caller: null, publicKey: mine })).rejects.toMatchObject({
      code: "attestation-failed",
    });
  });
});
