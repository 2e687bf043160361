import { describe, expect, it } from "vitest";
import { openAuthority } from "../../../../src/control/ca/authority.ts";
import { createSvidIssuer } from "../../../../src/control/ca/issue.ts";
import { CardeaError } from "../../../../src/core/errors.ts";
import { parseTrustDomain, type SpiffeId, spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { trustBundlesOf } from "../../../../src/pki/bundle.ts";
import { parseSigningRequest } from "../../../../src/pki/csr.ts";
import { generateKeyPair } from "../../../../src/pki/keys.ts";
import { encodePem } from "../../../../src/pki/pem.ts";
import type { CertificateRequest } from "../../../../src/proxy/identity/certificate-client.ts";
import type { Identity } from "../../../../src/proxy/identity/identity.ts";
import { holdIdentity, type RenewalState } from "../../../../src/proxy/identity/renew.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryStateFiles } from "../../../support/memory-state-files.ts";
import { createSeededRandom, createSimulatedClock } from "../../../support/simulated-clock.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const START_MS = Date.UTC(2026, 0, 1);
const WEB = spiffeIdFor("cluster.local", "shop", "web");
const LEDGER = spiffeIdFor("cluster.local", "shop", "ledger");
const DOMAIN = parseTrustDomain("cluster.local");

/** A real authority with its own clock, whose answers a test can hold back, spoil or refuse. */
async function setUp(seed = 1, first: { readonly isAway?: boolean; readonly identity?: SpiffeId } = {}) {
  const clock = createSimulatedClock(START_MS);
  const authorityClock = { ...clock, wallMs: () => clock.wallMs() + skew.authorityAheadMs };
  const random = createSeededRandom(seed);
  const skew = { authorityAheadMs: 0 };
  const log = createKeptLog();
  const makeAuthority = () =>
    openAuthority({ files: createMemoryStateFiles(), trustDomain: DOMAIN, clock: authorityClock, random, logger: log });
  const authority = await makeAuthority();
  const requests: (CertificateRequest & { readonly atMs: number })[] = [];
  const answers = {
    isAway: first.isAway ?? false,
    identity: first.identity ?? WEB,
    publicKey: null as ReturnType<typeof generateKeyPair>["publicKey"] | null,
    signer: authority,
    hangs: false,
    spoil: (chain: readonly string[]): readonly string[] => chain,
  };
  let inFlight = 0;
  let inFlightMax = 0;

  async function requestCertificate(request: CertificateRequest, signal: AbortSignal): Promise<readonly string[]> {
    requests.push({ ...request, atMs: clock.wallMs() });
    inFlight += 1;
    inFlightMax = Math.max(inFlightMax, inFlight);
    try {
      if (answers.hangs)
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
      if (answers.isAway) throw new CardeaError("unreachable", "the authority is away");
      const issue = createSvidIssuer({ authority: answers.signer, clock: authorityClock, random });
      const publicKey = answers.publicKey ?? parseSigningRequest(request.csrPem).publicKey;
      const issued = await issue({ spiffeId: answers.identity, publicKey, ttlSec: request.ttlSec });
      return answers.spoil(issued.chainDer.map((der) => encodePem("CERTIFICATE", der)));
    } finally {
      inFlight -= 1;
    }
  }

  const holder = holdIdentity({
    spiffeId: WEB,
    bundles: trustBundlesOf(authority.bundle),
    ttlSec: 3600,
    requestCertificate,
    clock,
    random,
    logger: log,
  });
  const published: (Identity | null)[] = [];
  holder.identity.subscribe((identity) => published.push(identity));
  holder.begin();
  return { clock, holder, published, requests, answers, skew, log, makeAuthority, inFlightMax: () => inFlightMax };
}

function phaseOf(state: RenewalState): string {
  return state.at === "closed" ? "closed" : `${state.at}, ${state.attempt.at}`;
}

describe("a held identity", () => {
  it("is null until the first certificate has come and is verified", async () => {
    const mesh = await setUp();
    expect(mesh.holder.identity.get()).toBeNull();
    expect(phaseOf(mesh.holder.state())).toBe("waiting, asking");
    await mesh.clock.advance(1);
    expect(mesh.holder.identity.get()).toMatchObject({ spiffeId: WEB, notAfterMs: START_MS + HOUR_MS });
    expect(phaseOf(mesh.holder.state())).toBe("holding, due");
  });

  it("is sent without the root and trusts the pinned one", async () => {
    const mesh = await setUp();
    await mesh.clock.advance(1);
    const identity = mesh.holder.identity.get()!;
    expect(identity.chainDer).toHaveLength(2);
    expect(identity.material.chainPem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(identity.rootsDer).toEqual(
      [...identity.bundles.values()][0]!.roots.map(({ certificate }) => certificate.der),
    );
  });

  it.each([1, 2, 3, 4, 5])(
    "is renewed before each half of its life, never two at once, each with a key of its own (seed %i)",
    async (seed) => {
      const mesh = await setUp(seed);
      await mesh.clock.advance(24 * HOUR_MS);
      const times = mesh.requests.map((request) => request.atMs);
      const gaps = times.slice(1).map((time, index) => time - times[index]!);
      const [first, ...later] = gaps;
      // Sidecars that start together must not renew together.
      expect(first).toBeGreaterThanOrEqual(3 * MINUTE_MS);
      for (const gap of later) expect(gap).toBeGreaterThanOrEqual(24 * MINUTE_MS);
      for (const gap of gaps) expect(gap).toBeLessThanOrEqual(30 * MINUTE_MS);
      expect(new Set(gaps).size).toBeGreaterThan(gaps.length / 2);
      expect(new Set(mesh.published.map((identity) => identity?.material.keyPem)).size).toBe(mesh.requests.length);
      expect(mesh.published).not.toContain(null);
      expect(mesh.inFlightMax()).toBe(1);
    },
  );

  it("is shown to the authority at its renewal", async () => {
    const mesh = await setUp();
    await mesh.clock.advance(31 * MINUTE_MS);
    const shown = mesh.requests.map((request) => request.identity?.serial ?? null);
    expect(shown.slice(0, 2)).toEqual([null, mesh.published[0]?.serial]);
  });

  it("outlives an authority that is away for half of its life, and is renewed when it comes back", async () => {
    const mesh = await setUp();
    await mesh.clock.advance(1);
    mesh.answers.isAway = true;
    await mesh.clock.advance(50 * MINUTE_MS);
    expect(mesh.holder.identity.get()).toBe(mesh.published[0]);
    mesh.answers.isAway = false;
    await mesh.clock.advance(15_000);
    expect(mesh.holder.identity.get()?.notAfterMs).toBeGreaterThan(START_MS + 105 * MINUTE_MS);
    expect(mesh.published).not.toContain(null);
  });

  it("is null from the moment it ends while the authority stays away, and comes back within a minute", async () => {
    const mesh = await setUp();
    await mesh.clock.advance(1);
    mesh.answers.isAway = true;
    await mesh.clock.advance(HOUR_MS - 2);
    expect(mesh.holder.identity.get()).not.toBeNull();
    await mesh.clock.advance(2);
    expect(mesh.holder.identity.get()).toBeNull();
    expect(mesh.log.events()).toContain("svid-expired");
    await mesh.clock.advance(5 * HOUR_MS);
    expect(mesh.requests.at(-1)?.identity).toBeNull();
    mesh.answers.isAway = false;
    await mesh.clock.advance(MINUTE_MS);
    expect(mesh.holder.identity.get()?.spiffeId).toBe(WEB);
  });

  it("is asked for in ever longer steps, up to fifteen seconds, with the same key", async () => {
    const mesh = await setUp(1, { isAway: true });
    await mesh.clock.advance(10 * MINUTE_MS);
    const times = mesh.requests.map((request) => request.atMs);
    const gaps = times.slice(1).map((time, index) => time - times[index]!);
    expect(gaps[0]).toBeLessThanOrEqual(200);
    for (const gap of gaps.slice(8)) expect(gap).toBeGreaterThanOrEqual(7_500);
    for (const gap of gaps) expect(gap).toBeLessThanOrEqual(15_001);
    const keys = mesh.requests.map(({ csrPem }) => parseSigningRequest(csrPem).publicKey.toString("hex"));
    expect(new Set(keys).size).toBe(1);
  });

  it("is gone half a minute after a laptop wakes from a sleep over its end, and is asked for anew", async () => {
    const mesh = await setUp();
    await mesh.clock.advance(1);
    mesh.answers.isAway = true;
    mesh.clock.setWall(START_MS + 8 * HOUR_MS);
    await mesh.clock.advance(30_000);
    expect(mesh.holder.identity.get()).toBeNull();
    mesh.answers.isAway = false;
    await mesh.clock.advance(15_000);
    expect(mesh.holder.identity.get()?.notAfterMs).toBeGreaterThan(START_MS + 8 * HOUR_MS);
  });

  it("is renewed in time although the wall clock was set back by 40 minutes", async () => {
    const mesh = await setUp();
    await mesh.clock.advance(6 * HOUR_MS);
    const before = mesh.requests.length;
    mesh.clock.setWall(mesh.clock.wallMs() - 40 * MINUTE_MS);
    await mesh.clock.advance(31 * MINUTE_MS);
    expect(mesh.requests.length).toBeGreaterThan(before);
    expect(mesh.log.events()).not.toContain("svid-request-failed");
  });

  it.each([
    ["four minutes behind", 4 * MINUTE_MS],
    ["four minutes ahead", -4 * MINUTE_MS],
  ])("is held with a clock that is %s of the authority's", async (_what, authorityAheadMs) => {
    const mesh = await setUp(1, { isAway: true });
    await mesh.clock.advance(1);
    mesh.answers.isAway = false;
    mesh.skew.authorityAheadMs = authorityAheadMs;
    await mesh.clock.advance(MINUTE_MS);
    expect(mesh.holder.identity.get()?.spiffeId).toBe(WEB);
  });

  it("is renewed at once when somebody asks, by one request however often, and then in its own time", async () => {
    const { clock, holder, requests, inFlightMax } = await setUp();
    await clock.advance(MINUTE_MS);
    const first = holder.identity.get()!;
    holder.renew();
    holder.renew();
    await clock.advance(0);
    expect(holder.identity.get()!.serial).not.toBe(first.serial);
    expect({ requests: requests.length, inFlightMax: inFlightMax() }).toEqual({ requests: 2, inFlightMax: 1 });
    await clock.advance(20 * MINUTE_MS);
    expect(requests).toHaveLength(2);
    await clock.advance(10 * MINUTE_MS);
    expect(requests).toHaveLength(3);
  });

  it("is not renewed for who asks after it was closed", async () => {
    const { clock, holder, requests } = await setUp();
    await clock.advance(MINUTE_MS);
    holder.close();
    holder.renew();
    await clock.advance(MINUTE_MS);
    expect(requests).toHaveLength(1);
  });

  it("asks no more once closed, ends the request under way, and keeps what it published", async () => {
    const mesh = await setUp();
    await mesh.clock.advance(1);
    mesh.answers.hangs = true;
    await mesh.clock.advance(31 * MINUTE_MS);
    expect(phaseOf(mesh.holder.state())).toBe("holding, asking");
    mesh.holder.close();
    await mesh.clock.advance(3 * HOUR_MS);
    expect(mesh.requests).toHaveLength(2);
    expect(mesh.clock.timers).toBe(0);
    expect(mesh.holder.identity.get()).toBe(mesh.published[0]);
  });

  it("ends while a request hangs, since both are watched", async () => {
    const mesh = await setUp();
    await mesh.clock.advance(1);
    mesh.answers.hangs = true;
    await mesh.clock.advance(HOUR_MS);
    expect(mesh.holder.identity.get()).toBeNull();
    expect(phaseOf(mesh.holder.state())).toBe("waiting, asking");
    mesh.holder.close();
  });
});

describe("what the authority sends is refused, and the last good identity kept,", () => {
  type Mesh = Awaited<ReturnType<typeof setUp>>;
  it.each<[string, (mesh: Mesh) => Promise<void> | void, string]>([
    ["when it names somebody else", ({ answers }) => void (answers.identity = LEDGER), "peer-identity-mismatch"],
    [
      "when it is for another key",
      ({ answers }) => void (answers.publicKey = generateKeyPair().publicKey),
      "peer-identity-mismatch",
    ],
    [
      "when another root of the same name signed it",
      async (mesh) => void (mesh.answers.signer = await mesh.makeAuthority()),
      "peer-certificate-untrusted",
    ],
    [
      "when its intermediate is missing",
      ({ answers }) => void (answers.spoil = ([leaf]) => [leaf!]),
      "peer-certificate-untrusted",
    ],
    ["when it is empty", ({ answers }) => void (answers.spoil = () => []), "bad-input"],
    ["when it is no certificate", ({ answers }) => void (answers.spoil = () => ["hello"]), "bad-input"],
    [
      "when its order is turned round",
      ({ answers }) => void (answers.spoil = (chain) => chain.toReversed()),
      "peer-identity-invalid",
    ],
    [
      "when the clocks are ten minutes apart, and the log says so",
      ({ skew }) => void (skew.authorityAheadMs = 10 * MINUTE_MS),
      "peer-certificate-expired",
    ],
  ])("%s", async (_what, spoil, code) => {
    const mesh = await setUp();
    await mesh.clock.advance(1);
    const good = mesh.holder.identity.get();
    await spoil(mesh);
    await mesh.clock.advance(40 * MINUTE_MS);
    expect(mesh.requests.length).toBeGreaterThan(2);
    expect(mesh.holder.identity.get()).toBe(good);
    expect(mesh.log.lines.at(-1)).toMatchObject({ event: "svid-request-failed", fields: { code } });
    await mesh.clock.advance(20 * MINUTE_MS);
    expect(mesh.holder.identity.get()).toBeNull();
  });

  it("at the very first certificate, too: nothing is published", async () => {
    const mesh = await setUp(1, { identity: LEDGER });
    await mesh.clock.advance(MINUTE_MS);
    expect(mesh.published).toEqual([]);
    expect(mesh.holder.identity.get()).toBeNull();
  });
});
