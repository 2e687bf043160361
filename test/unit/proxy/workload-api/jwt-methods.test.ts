import { status } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { GET_BUNDLE, NEW_JWT_SVID } from "../../../../src/api/methods.ts";
import { JWT_PERIOD_MS, JWT_PREPARE_MS } from "../../../../src/control/ca/jwt-keys.ts";
import { CardeaError } from "../../../../src/core/errors.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { parseJwtBundle } from "../../../../src/pki/jwks.ts";
import { verifyJwtSvid } from "../../../../src/pki/jwt-svid.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { shopId } from "../../../support/test-authority.ts";
import {
  APP_ID,
  meant,
  type ServedApi,
  type ServedApiOptions,
  serveWorkloadApi,
  streamOf,
  unaryOf,
  workloadClient,
} from "../../../support/workload-api.ts";

interface SvidResponse {
  readonly svids: readonly { readonly spiffeId: string; readonly svid: string; readonly hint: string }[];
}
interface BundlesResponse {
  readonly bundles: Readonly<Record<string, Buffer>>;
}
interface ValidateResponse {
  readonly spiffeId: string;
  readonly claims: { readonly fields: Readonly<Record<string, object>> };
}

// In the middle of a key's week.
const NOW_MS = Math.floor(Date.now() / JWT_PERIOD_MS) * JWT_PERIOD_MS + 3 * 86_400_000;
/** By then keys have been asked for again. */
const REFRESHED_MS = LIMITS.bundleRefreshMs * 1.2;
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function serve(options: ServedApiOptions = {}) {
  const clock = createSimulatedClock(NOW_MS);
  const served = await serveWorkloadApi({ clock, ...options });
  const client = workloadClient(served.path);
  cleanups.push(
    () => served.close(),
    () => client.close(),
  );
  return {
    served,
    clock,
    fetch: (request: object) => unaryOf<SvidResponse>(client, "FetchJWTSVID", request, meant()),
    validate: (request: object) => unaryOf<ValidateResponse>(client, "ValidateJWTSVID", request, meant()),
    bundles: () => streamOf<BundlesResponse>(client, "FetchJWTBundles", meant()),
    client,
  };
}

function keysIn({ bundles }: BundlesResponse) {
  return new Map([[parseTrustDomain("cluster.local"), parseJwtBundle(String(bundles["spiffe://cluster.local"]))]]);
}

async function tokenOf(served: ServedApi, audience: string): Promise<string> {
  return (await served.control.issue({ spiffeId: APP_ID, audiences: [audience] })).token;
}

describe("FetchJWTSVID", () => {
  test("gives a token that the keys of FetchJWTBundles verify, for the audience that was asked for", async () => {
    const { fetch, bundles, clock } = await serve();
    const { svids } = await fetch({ audience: ["reports"] });
    expect(svids).toMatchObject([{ spiffeId: APP_ID, hint: "" }]);
    const keys = keysIn(await bundles().next());
    const at = { nowMs: clock.wallMs(), skewMs: 0 };
    expect(verifyJwtSvid(svids[0]!.svid, keys, { audiences: ["reports"], ...at }).spiffeId).toBe(APP_ID);
    expect(() => verifyJwtSvid(svids[0]!.svid, keys, { audiences: ["payments"], ...at })).toThrow(/it is for/);
  });

  test("gives the same token for half of its life, to who asks for the same", async () => {
    const { fetch, clock, served } = await serve();
    const first = (await fetch({ audience: ["a", "b"] })).svids[0]!.svid;
    expect((await fetch({ audience: ["b", "a"], spiffeId: APP_ID })).svids[0]!.svid).toBe(first);
    expect((await fetch({ audience: ["a"] })).svids[0]!.svid).not.toBe(first);
    await clock.advance(LIMITS.jwtSvidTtlMs / 2 + 1_000);
    expect((await fetch({ audience: ["a", "b"] })).svids[0]!.svid).not.toBe(first);
    expect(served.control.calls.filter((path) => path === NEW_JWT_SVID)).toHaveLength(3);
  });

  test.each([
    ["without an audience", {}, status.INVALID_ARGUMENT],
    ["with an empty audience", { audience: [""] }, status.INVALID_ARGUMENT],
    ["for another identity", { audience: ["a"], spiffeId: shopId("orders") }, status.PERMISSION_DENIED],
  ])("is refused %s", async (_name, request, code) => {
    const { fetch, served } = await serve();
    await expect(fetch(request)).rejects.toMatchObject({ code });
    expect(served.control.calls).toEqual([]);
  });

  test("is refused without the security header", async () => {
    const { client } = await serve();
    const metadata = meant();
    metadata.remove("workload.spiffe.io");
    const call = unaryOf(client, "FetchJWTSVID", { audience: ["a"] }, metadata);
    await expect(call).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test.each<[string, CardeaError, status]>([
    ["does not know the workload", new CardeaError("attestation-failed", "gone"), status.PERMISSION_DENIED],
    ["is away", new CardeaError("unreachable", "away"), status.UNAVAILABLE],
    ["finds the request bad", new CardeaError("bad-request", "too many audiences"), status.INVALID_ARGUMENT],
  ])("says so when the authority %s", async (_name, error, code) => {
    const { fetch } = await serve({ callControl: () => Promise.reject(error) });
    await expect(fetch({ audience: ["a"] })).rejects.toMatchObject({ code });
  });

  test("is refused while the sidecar has no certificate to prove for whom it asks", async () => {
    const { fetch } = await serve({ sidecar: null });
    await expect(fetch({ audience: ["a"] })).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe("FetchJWTBundles", () => {
  test("pushes the next key when it is told, a day before it signs", async () => {
    const { bundles, clock } = await serve();
    const stream = bundles();
    expect(
      keysIn(await stream.next())
        .values()
        .next().value,
    ).toHaveLength(1);
    clock.setWall(NOW_MS + 4 * 86_400_000 - JWT_PREPARE_MS);
    await clock.advance(REFRESHED_MS);
    expect(
      keysIn(await stream.next())
        .values()
        .next().value,
    ).toHaveLength(2);
  });

  test("keeps what it has when the authority is away, and asks again", async () => {
    let isAway = false;
    const { served, bundles, clock } = await serve({
      callControl: (path, message, identity) =>
        isAway ? Promise.reject(new CardeaError("unreachable", "away")) : served.control.call(path, message, identity),
    });
    const stream = bundles();
    const first = await stream.next();
    isAway = true;
    clock.setWall(NOW_MS + 4 * 86_400_000);
    await clock.advance(REFRESHED_MS);
    expect(served.log.events()).toContain("jwt-keys-not-refreshed");
    expect(await bundles().next()).toEqual(first);
    isAway = false;
    await clock.advance(REFRESHED_MS);
    expect(
      keysIn(await stream.next())
        .values()
        .next().value,
    ).toHaveLength(2);
  });

  test("is refused as Unavailable when the keys do not come for as long as a caller waits", async () => {
    const { bundles, clock, served } = await serve({
      callControl: () => Promise.reject(new CardeaError("unreachable", "away")),
    });
    const failed = expect(bundles().next()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    while (!served.log.events().includes("jwt-keys-not-refreshed")) await new Promise(setImmediate);
    await clock.advance(LIMITS.workloadApiWaitMs + 1_000);
    await failed;
  });

  test("does not take keys from a replica that is behind", async () => {
    const { served, bundles, clock } = await serve();
    const stream = bundles();
    const before = await stream.next();
    const { keys } = served.control;
    const real = keys.sequence.bind(keys);
    keys.sequence = () => real() - 10;
    clock.setWall(NOW_MS + 4 * 86_400_000 - JWT_PREPARE_MS);
    await clock.advance(REFRESHED_MS);
    expect(served.control.calls.length).toBeGreaterThan(1);
    expect(await bundles().next()).toEqual(before);
  });
});

describe("ValidateJWTSVID", () => {
  test("tells whose token it is, with all its claims", async () => {
    const { validate, served } = await serve();
    const { spiffeId, claims } = await validate({ audience: "reports", svid: await tokenOf(served, "reports") });
    expect(spiffeId).toBe(APP_ID);
    expect(claims.fields["sub"]).toMatchObject({ stringValue: APP_ID });
    expect(claims.fields["aud"]).toMatchObject({ listValue: { values: [{ stringValue: "reports" }] } });
    expect(Object.keys(claims.fields).toSorted()).toEqual(["aud", "exp", "iat", "sub"]);
  });

  test("is refused without an audience, without a token, and for another's", async () => {
    const { validate, served } = await serve();
    const svid = await tokenOf(served, "reports");
    for (const request of [
      { svid },
      { audience: "reports" },
      { audience: "payments", svid },
      { audience: "a", svid: "x" },
    ])
      await expect(validate(request)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test("is refused once the token has ended, skew and all", async () => {
    const { validate, served, clock } = await serve();
    const svid = await tokenOf(served, "reports");
    await clock.advance(LIMITS.jwtSvidTtlMs + LIMITS.tokenSkewMs - 2_000);
    await validate({ audience: "reports", svid });
    await clock.advance(3_000);
    await expect(validate({ audience: "reports", svid })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test("asks for the keys again when a token names one that is not known, but not for every such token", async () => {
    const { validate, served, clock } = await serve();
    await validate({ audience: "a", svid: await tokenOf(served, "a") });
    // The week changes while the sidecar sleeps over its refresh.
    clock.setWall(clock.wallMs() + JWT_PERIOD_MS);
    await clock.advance(11_000);
    const svid = await tokenOf(served, "a");
    expect((await validate({ audience: "a", svid })).spiffeId).toBe(APP_ID);
    const asked = served.control.calls.filter((path) => path === GET_BUNDLE).length;
    for (let round = 0; round < 20; round += 1)
      await expect(validate({ audience: "a", svid: forged(svid) })).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
      });
    expect(served.control.calls.filter((path) => path === GET_BUNDLE)).toHaveLength(asked);
  });

  test("is refused as Unavailable while no keys have come", async () => {
    const { validate } = await serve({ callControl: () => Promise.reject(new CardeaError("unreachable", "away")) });
    await expect(validate({ audience: "a", svid: "a.b.c" })).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });
});

function forged(token: string): string {
  const [, payload, signature] = token.split(".");
  const header = Buffer.from(JSON.stringify({ alg: "ES256", kid: "unknown" })).toString("base64url");
  return `${header}.${payload}.${signature}`;
}
