import { describe, expect, it } from "vitest";
import { parseTrustDomain, spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { openAuthority } from "../../../../src/control/ca/authority.ts";
import { createSvidIssuer } from "../../../../src/control/ca/issue.ts";
import { trustBundlesOf } from "../../../../src/pki/bundle.ts";
import { parseCertificate } from "../../../../src/pki/certificate.ts";
import { generateKeyPair } from "../../../../src/pki/keys.ts";
import { verifyPeerChain } from "../../../../src/pki/verify.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryStateFiles } from "../../../support/memory-state-files.ts";
import { createSeededRandom, createSimulatedClock } from "../../../support/simulated-clock.ts";

const WEB = spiffeIdFor("cluster.local", "shop", "web");
const START_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;

async function setUp(ttlMsMax?: number) {
  const clock = createSimulatedClock(START_MS);
  const random = createSeededRandom(1);
  const trustDomain = parseTrustDomain("cluster.local");
  const files = createMemoryStateFiles();
  const authority = await openAuthority({ files, trustDomain, clock, random, logger: createKeptLog() });
  const issue = createSvidIssuer({ authority, clock, random, ...(ttlMsMax === undefined ? {} : { ttlMsMax }) });
  const { publicKey } = generateKeyPair();
  return { authority, clock, files, issue: (ttlSec: number) => issue({ spiffeId: WEB, publicKey, ttlSec }) };
}

describe("an issued SVID", () => {
  it("is verified to the authority's root, and its chain ends with the root", async () => {
    const { authority, issue } = await setUp();
    const { chainDer } = await issue(0);
    const peer = verifyPeerChain(chainDer, trustBundlesOf(authority.bundle), START_MS);
    expect(peer.spiffeId).toBe(WEB);
    expect(chainDer.at(-1)).toEqual(authority.bundle.roots[0]!.certificate.der);
  });

  it.each([
    ["as long as is allowed when nothing is asked for", 0, 3_600],
    ["as long as is asked for, below the ceiling", 60, 60],
    ["no longer than the ceiling", 86_400, 3_600],
    ["no longer than the ceiling for the largest number", Number.MAX_SAFE_INTEGER, 3_600],
  ])("is valid %s, begun five minutes ago", async (_what, ttlSec, expectedSec) => {
    const { issue } = await setUp();
    const issued = await issue(ttlSec);
    const leaf = parseCertificate(issued.chainDer[0]!);
    expect(leaf.notBeforeMs).toBe(START_MS - 300_000);
    expect(leaf.notAfterMs).toBe(START_MS + expectedSec * 1000);
    expect(issued).toMatchObject({ notAfterMs: leaf.notAfterMs, serial: leaf.serial });
  });

  it("never outlives a certificate above it", async () => {
    const { issue, clock, files } = await setUp(400 * DAY_MS);
    const issued = await issue(0);
    const [leaf, intermediate] = issued.chainDer.map(parseCertificate);
    expect(leaf!.notAfterMs).toBe(intermediate!.notAfterMs);
    files.write = async () => Promise.reject(new Error("full"));
    await clock.advance(89 * DAY_MS);
    const [late] = (await issue(0)).chainDer.map(parseCertificate);
    expect(late!.notAfterMs).toBe(intermediate!.notAfterMs);
  });

  it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    "is refused for a validity of %d seconds",
    async (ttlSec) => {
      const { issue } = await setUp();
      await expect(issue(ttlSec)).rejects.toMatchObject({ code: "csr-invalid" });
    },
  );
});
