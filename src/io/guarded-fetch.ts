import { lookup, type LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { rootCertificates } from "node:tls";
import { Agent, request } from "undici";
import { type Cidr, cidrHolds, parseCidr, parseIp } from "../core/cidr.ts";
import { CardeaError } from "../core/errors.ts";
import { readText } from "./files.ts";
import type { FetchedText, FetchRules, GuardedFetch } from "../core/guarded-fetch.ts";

const REDIRECTS_MAX = 3;
const HEAD_BYTES_MAX = 16 * 1024;

/**
 * Nothing but this machine, its link, or its cloud answers there: loopback, link-local (169.254.169.254 among them), "this
 * host", multicast, the metadata services of clouds at other addresses, and IPv4 in the clothes of NAT64.
 */
const REFUSED = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/4",
  "255.255.255.255",
  "100.100.100.200",
  "168.63.129.16",
  "::/127",
  "fe80::/10",
  "ff00::/8",
  "fd00:ec2::254",
  "fd20:ce::254",
  "64:ff9b::/96",
].map(parseCidr);

/**
 * Fetches texts from places that others name, by https alone unless told. The address is judged after the name was
 * resolved, and the judged one is connected to, so that a name cannot point elsewhere a moment later; each redirection is
 * judged anew.
 */
export function createGuardedFetch(rules: FetchRules): GuardedFetch {
  const allowed = rules.allowAddresses.map(parseCidr);
  const mayReach = (address: string): boolean => isReachable(address, allowed);
  return async (url, { timeoutMs, bytesMax }) => {
    // Read each time: a bundle is renewed in its place.
    const ca = rules.caFile === null ? {} : { ca: [...rootCertificates, await readText(rules.caFile)] };
    const agent = new Agent({
      connect: { lookup: guardedLookup(mayReach), timeout: timeoutMs, ...ca },
      maxResponseSize: bytesMax,
      maxHeaderSize: HEAD_BYTES_MAX,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
    try {
      return await follow(new URL(url), { agent, rules, mayReach, signal: AbortSignal.timeout(timeoutMs) });
    } catch (thrown) {
      throw thrown instanceof CardeaError ? thrown : failed(describe(thrown, timeoutMs), thrown);
    } finally {
      await agent.destroy();
    }
  };
}

interface Way {
  readonly agent: Agent;
  readonly rules: FetchRules;
  readonly mayReach: (address: string) => boolean;
  readonly signal: AbortSignal;
}

async function follow(url: URL, way: Way, redirects = 0): Promise<FetchedText> {
  assertAllowed(url, way);
  const answer = await request(url, {
    dispatcher: way.agent,
    signal: way.signal,
    headers: { accept: "application/jwk-set+json, application/json" },
  });
  const { statusCode: status, headers, body } = answer;
  if ([301, 302, 303, 307, 308].includes(status) && typeof headers["location"] === "string") {
    await body.dump();
    if (redirects === REDIRECTS_MAX) throw failed(`it redirects more than ${REDIRECTS_MAX} times`);
    return follow(new URL(headers["location"], url), way, redirects + 1);
  }
  if (status !== 200) {
    await body.dump();
    throw failed(`the answer is ${status}`);
  }
  return { body: await body.text(), maxAgeMs: maxAgeOf(headers["cache-control"]) };
}

function assertAllowed({ protocol, hostname }: URL, { rules, mayReach }: Way): void {
  if (protocol !== "https:" && !(protocol === "http:" && rules.allowHttp)) throw failed(`${protocol} is not allowed`);
  // A literal is never looked up, so that nothing else would judge it.
  const literal = hostname.replace(/^\[(.*)\]$/, "$1");
  if (parseIp(literal) !== null && !mayReach(literal)) throw failed(`the address ${literal} is not allowed`);
}

function isReachable(address: string, allowed: readonly Cidr[]): boolean {
  const ip = parseIp(address);
  if (ip === null) return false;
  return allowed.some((each) => cidrHolds(each, ip)) || !REFUSED.some((each) => cidrHolds(each, ip));
}

/** Only addresses that may be reached are handed on to be connected to. */
function guardedLookup(mayReach: (address: string) => boolean): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error !== null) return done(error, []);
      const good = found.filter(({ address }) => mayReach(address));
      const [first] = good;
      if (first === undefined) {
        const bad = found.map(({ address }) => address).join(", ");
        return done(new Error(`${hostname} is ${bad}, which is not allowed`), []);
      }
      return options.all === true ? done(null, good) : done(null, first.address, first.family);
    });
  };
}

/** RFC 9111 section 5.2.2. Null: nothing usable is said. */
function maxAgeOf(field: string | string[] | undefined): number | null {
  const text = [field ?? []].flat().join(",").toLowerCase();
  if (/\bno-(store|cache)\b/.test(text)) return 0;
  const seconds = /\bmax-age=(\d{1,9})\b/.exec(text)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1_000;
}

function describe(thrown: unknown, timeoutMs: number): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown.name === "TimeoutError") return `not within ${timeoutMs} ms`;
  const cause = thrown.cause instanceof Error && thrown.message === "" ? thrown.cause.message : thrown.message;
  return cause === "" ? thrown.name : cause;
}

function failed(why: string, cause?: unknown): CardeaError {
  return new CardeaError("unreachable", why, cause);
}
