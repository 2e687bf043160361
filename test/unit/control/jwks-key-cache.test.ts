import { beforeEach, describe, expect, test } from "vitest";
import { type KeyCache, openKeyCache, type WantedKeys } from "../../../src/control/jwks/key-cache.ts";
import { CardeaError } from "../../../src/core/errors.ts";
import type { FetchedText } from "../../../src/core/guarded-fetch.ts";
import { LIMITS } from "../../../src/core/limits.ts";
import { type FetchedSource, keySourceId } from "../../../src/policy/authentication/key-source.ts";
import { createKeptLog, type KeptLog } from "../../support/kept-log.ts";
import { createSeededRandom, createSimulatedClock, type SimulatedClock } from "../../support/simulated-clock.ts";
import { issuerKey, jwksOf } from "../../support/test-tokens.ts";

const FIRST = jwksOf(issuerKey("first"));
const SECOND = jwksOf(issuerKey("second"));
const URI: FetchedSource = { from: "uri", uri: "https://id.example/keys" };
const ISSUER: FetchedSource = { from: "discovery", issuer: "https://id.example/realm" };

let clock: SimulatedClock;
let log: KeptLog;
let answers: Map<string, FetchedText | Error>;
let asked: string[];
let counts: { good: number; bad: number };
let cache: KeyCache;
beforeEach(() => {
  clock = createSimulatedClock(0);
  log = createKeptLog();
  asked = [];
  counts = { good: 0, bad: 0 };
  answers = new Map([["https://id.example/keys", { body: FIRST, maxAgeMs: null }]]);
  cache = openKeyCache({
    async fetch(url) {
      asked.push(url);
      const answer = answers.get(url) ?? new CardeaError("unreachable", "the answer is 404");
      if (answer instanceof Error) throw answer;
      return answer;
    },
    clock,
    random: createSeededRandom(1),
    logger: log,
    observer: { fetched: () => (counts.good += 1), failed: () => (counts.bad += 1) },
  });
});

async function want(...sources: readonly FetchedSource[]): Promise<void> {
  cache.want(sources.map((source): WantedKeys => ({ source, timeoutMs: 5_000 })));
  await clock.advance(0);
}

function keysOf(source = URI) {
  return cache.fetched.get().get(keySourceId(source));
}

describe("keys are fetched", () => {
  test("as soon as a rule names them, and until then there are none", async () => {
    cache.want([{ source: URI, timeoutMs: 1 }]);
    expect(keysOf()).toMatchObject({ jwks: null, error: "they are being fetched for the first time" });
    await clock.advance(0);
    expect(keysOf()).toEqual({ jwks: FIRST, error: null });
    expect([counts, log.events()]).toEqual([{ good: 1, bad: 0 }, ["jwks-changed"]]);
  });

  test("from where the issuer's metadata says, if it is the issuer's own", async () => {
    const place = "https://id.example/realm/.well-known/openid-configuration";
    const metadata = { issuer: "https://id.example/realm", jwks_uri: "https://id.example/keys" };
    answers.set(place, { body: JSON.stringify(metadata), maxAgeMs: null });
    await want(ISSUER);
    expect(asked).toEqual([place, "https://id.example/keys"]);
    expect(keysOf(ISSUER)?.jwks).toBe(FIRST);
  });

  test.each<[string, object | string, string]>([
    ["another issuer's", { issuer: "https://else.example", jwks_uri: "https://id.example/keys" }, "is of the issuer"],
    ["no place of keys", { issuer: "https://id.example/realm" }, "names no jwks_uri"],
    ["what is no JSON", "<html>", "is not JSON"],
  ])("and not by metadata that is %s", async (_name, metadata, error) => {
    const body = typeof metadata === "string" ? metadata : JSON.stringify(metadata);
    answers.set("https://id.example/realm/.well-known/openid-configuration", { body, maxAgeMs: null });
    await want(ISSUER);
    expect(keysOf(ISSUER)?.jwks).toBeNull();
    expect(keysOf(ISSUER)?.error).toContain(error);
  });

  test("not at all of an issuer that is no URL", async () => {
    const source: FetchedSource = { from: "discovery", issuer: "issuer-foo" };
    await want(source);
    expect(keysOf(source)?.error).toContain("the issuer is no URL");
    expect(asked).toEqual([]);
  });

  test.each([
    ["no key set", "{}", "expected a JWK Set"],
    ["a set of secrets", '{"keys":[{"kty":"oct","k":"AAAA"}]}', "is a secret key"],
    ["a page", "<html>", "is not JSON"],
  ])("and %s is none", async (_name, body, error) => {
    answers.set("https://id.example/keys", { body, maxAgeMs: null });
    await want(URI);
    expect(keysOf()?.jwks).toBeNull();
    expect(keysOf()?.error).toContain(error);
    expect(log.events()).toEqual(["jwks-missing"]);
  });

  test("again when they grow old, and a new one is told at once", async () => {
    await want(URI);
    answers.set("https://id.example/keys", { body: SECOND, maxAgeMs: null });
    await clock.advance(LIMITS.jwksRefreshMs);
    expect(keysOf()?.jwks).toBe(SECOND);
    expect(asked).toHaveLength(2);
  });

  test.each([
    ["no sooner than we will", 0, LIMITS.jwksRefreshMsMin],
    ["no later than we will", 1e12, LIMITS.jwksRefreshMsMax],
    ["when their server says", 600_000, 600_000],
  ])("%s", async (_name, maxAgeMs, afterMs) => {
    answers.set("https://id.example/keys", { body: FIRST, maxAgeMs });
    await want(URI);
    await clock.advance(afterMs * 0.79);
    expect(asked).toHaveLength(1);
    await clock.advance(afterMs * 0.22);
    expect(asked).toHaveLength(2);
  });

  test("no more once no rule names them", async () => {
    await want(URI);
    await want();
    await clock.advance(LIMITS.jwksRefreshMsMax);
    expect([asked.length, cache.fetched.get().size]).toEqual([1, 0]);
  });
});

describe("while keys cannot be fetched", () => {
  test("the old ones serve on, for so long and no longer; then there are none, and it says so", async () => {
    await want(URI);
    answers.clear();
    await clock.advance(LIMITS.jwksKeptMs - LIMITS.jwksRetryMsMax);
    expect(keysOf()?.jwks).toBe(FIRST);
    await clock.advance(2 * LIMITS.jwksRetryMsMax);
    expect(keysOf()).toEqual({ jwks: null, error: "the answer is 404" });
    expect(log.events()).toContain("jwks-not-refreshed");
    expect(log.events().at(-1)).toBe("jwks-missing");
  });

  test("they are asked for ever more seldom, and serve again as soon as they can be had", async () => {
    const answer = answers.get("https://id.example/keys")!;
    answers.clear();
    await want(URI);
    await clock.advance(10_000);
    const early = asked.length;
    expect(early).toBeGreaterThan(2);
    expect(early).toBeLessThan(8);
    answers.set("https://id.example/keys", answer);
    await clock.advance(LIMITS.jwksRetryMsMax);
    expect(keysOf()?.jwks).toBe(FIRST);
    expect(counts.bad).toBe(early);
  });
});
