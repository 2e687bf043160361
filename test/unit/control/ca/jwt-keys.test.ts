import { describe, expect, test } from "vitest";
import { createJwtIssuer } from "../../../../src/control/ca/jwt-issue.ts";
import { JWT_PERIOD_MS, JWT_PREPARE_MS, JwtKeys } from "../../../../src/control/ca/jwt-keys.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { verifyJwtSvid } from "../../../../src/pki/jwt-svid.ts";
import { parsePublicKey } from "../../../../src/pki/keys.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryStateFiles } from "../../../support/memory-state-files.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";

const WEB = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web");
const START_MS = 3_000 * JWT_PERIOD_MS;
const HOUR_MS = 3_600_000;

function openKeys(startMs = START_MS, files = createMemoryStateFiles()) {
  const clock = createSimulatedClock(startMs);
  const logger = createKeptLog();
  return { clock, files, logger, keys: new JwtKeys({ files, clock, logger }) };
}

async function bundlesOf(keys: JwtKeys) {
  const all = (await keys.published()).map(({ keyId, publicKey }) => ({
    keyId,
    algorithm: null,
    key: parsePublicKey(publicKey)!,
  }));
  return new Map([[parseTrustDomain("cluster.local"), all]]);
}

describe("keys for tokens", () => {
  test("are made when they are first needed, and are there again after a restart", async () => {
    const { keys, files, clock, logger } = openKeys();
    expect(await files.list("ca")).toEqual([]);
    const key = await keys.current();
    expect((await keys.published()).map(({ keyId }) => keyId)).toEqual([key.keyId]);
    const again = new JwtKeys({ files, clock, logger });
    expect((await again.current()).keyId).toBe(key.keyId);
    expect(logger.events()).toEqual(["jwt-key-created"]);
  });

  test("are the same for replicas that begin at once", async () => {
    const files = createMemoryStateFiles();
    const replicas = Array.from({ length: 4 }, () => openKeys(START_MS, files).keys);
    const current = await Promise.all(replicas.flatMap((keys) => [keys.current(), keys.current()]));
    expect(new Set(current.map(({ keyId }) => keyId)).size).toBe(1);
    expect(await files.list("ca")).toHaveLength(1);
  });

  test("are told a day before they sign, and an hour after their last token has ended", async () => {
    const { keys, clock } = openKeys(START_MS + HOUR_MS * 2);
    const first = await keys.current();
    await clock.advance(JWT_PERIOD_MS - JWT_PREPARE_MS - HOUR_MS * 2);
    const [same, next] = await keys.published();
    expect(same!.keyId).toBe(first.keyId);
    expect((await keys.current()).keyId).toBe(first.keyId);
    await clock.advance(JWT_PREPARE_MS);
    expect((await keys.current()).keyId).toBe(next!.keyId);
    expect((await keys.published()).map(({ keyId }) => keyId)).toEqual([first.keyId, next!.keyId]);
    await clock.advance(HOUR_MS + LIMITS.jwtSvidTtlMs);
    expect((await keys.published()).map(({ keyId }) => keyId)).toEqual([next!.keyId]);
  });

  test("that are old are forgotten, in the state as well", async () => {
    const { keys, clock, files } = openKeys();
    for (let week = 0; week < 6; week += 1) {
      await keys.published();
      await clock.advance(JWT_PERIOD_MS);
    }
    await keys.published();
    expect((await files.list("ca")).length).toBeLessThanOrEqual(2);
  });

  test("that are damaged are an error with the way out", async () => {
    const { keys, files } = openKeys();
    await files.write("ca/jwt-key-3000.pem", "no key");
    await expect(keys.current()).rejects.toMatchObject({
      code: "bad-input",
      message: expect.stringMatching(/jwt-key-3000\.pem cannot be used: .* Remove it/) as string,
    });
  });

  test("have a sequence that grows whenever others are told", async () => {
    const { keys, clock } = openKeys();
    let told = (await keys.published()).map(({ keyId }) => keyId).join();
    let sequence = keys.sequence();
    let changes = 0;
    for (let hour = 0; hour < 24 * 21; hour += 1) {
      await clock.advance(HOUR_MS);
      const now = (await keys.published()).map(({ keyId }) => keyId).join();
      expect(keys.sequence()).toBeGreaterThanOrEqual(sequence);
      if (now !== told) {
        changes += 1;
        expect(keys.sequence()).toBeGreaterThan(sequence);
      }
      told = now;
      sequence = keys.sequence();
    }
    expect(changes).toBeGreaterThanOrEqual(5);
  });
});

test("over three weeks every token is good by keys that are as old as a sidecar's may be, and by newer ones to its end", async () => {
  const { keys, clock } = openKeys();
  const issue = createJwtIssuer({ keys, clock });
  for (let hour = 0; hour < 21 * 24; hour += 1) {
    const before = await bundlesOf(keys);
    // Twice as long as keys may be old.
    await clock.advance(2 * LIMITS.bundleRefreshMs);
    const { token } = await issue({ spiffeId: WEB, audiences: ["reports"] });
    const issuedMs = clock.wallMs();
    const expected = { audiences: ["reports"], nowMs: issuedMs, skewMs: 0 };
    expect(verifyJwtSvid(token, before, expected).spiffeId).toBe(WEB);
    await clock.advance(HOUR_MS - 2 * LIMITS.bundleRefreshMs);
    // By keys of much later, at the token's last moment.
    const atItsEnd = { ...expected, nowMs: issuedMs + LIMITS.jwtSvidTtlMs - 1_000 };
    expect(verifyJwtSvid(token, await bundlesOf(keys), atItsEnd).spiffeId).toBe(WEB);
  }
});
