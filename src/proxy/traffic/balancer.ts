import type { Random } from "../../core/ports.ts";
import type { HashTable, LoadBalancer } from "../../traffic/service-traffic.ts";
import { type Caller, hashKeyOf } from "./hash-key.ts";
import type { HashLookup } from "./hash-lookup.ts";
import { buildHashRing } from "./hash-ring.ts";
import { buildMaglev } from "./maglev.ts";
import type { Member } from "./member.ts";
import { isLetThrough } from "./slow-start.ts";
import { stableHash } from "./stable-hash.ts";

/** Picks one of several members, at least one. `caller` is null where there is no request (TCP). */
export type Balancer = (among: readonly Member[], caller: Caller | null) => Member;

export interface BalancerParts {
  readonly random: Random;
  readonly nowMs: () => number;
  /** Requests under way to a member. */
  readonly activeAt: (member: Member) => number;
}

export function createBalancer(rule: LoadBalancer, parts: BalancerParts): Balancer {
  switch (rule.kind) {
    case "least-request":
      return (among) => pickLessBusy(among, rule.slowStartMs, parts);
    case "round-robin":
      return createRoundRobin(rule.slowStartMs, parts);
    case "random":
      return (among) => pickRandom(among, parts.random);
    case "consistent-hash":
      return createConsistentHash(rule, parts);
  }
}

/**
 * The less busy of two drawn at random: nearly as even as looking at all, and two senders that know nothing of each
 * other do not flock to the same one.
 */
export function pickLessBusy(among: readonly Member[], slowStartMs: number, parts: BalancerParts): Member {
  const count = among.length;
  if (count === 1) return among[0]!;
  const { random, activeAt } = parts;
  const first = Math.floor(random.float() * count);
  const step = 1 + Math.floor(random.float() * (count - 1));
  const left = among[first]!;
  const right = among[(first + step) % count]!;
  const [better, other] = activeAt(right) < activeAt(left) ? [right, left] : [left, right];
  return slowStartMs === 0 || isLetThrough(better, slowStartMs, parts) ? better : other;
}

function pickRandom(among: readonly Member[], random: Random): Member {
  return among[Math.floor(random.float() * among.length)]!;
}

function createRoundRobin(slowStartMs: number, parts: BalancerParts): Balancer {
  // Sidecars that begin together must not all begin with the same member.
  let turn = Math.floor(parts.random.float() * 2 ** 20);
  return (among) => {
    const first = among[turn++ % among.length]!;
    if (slowStartMs === 0) return first;
    let member = first;
    for (let skipped = 1; skipped < among.length && !isLetThrough(member, slowStartMs, parts); skipped++) {
      member = among[turn++ % among.length]!;
    }
    return member;
  };
}

function createConsistentHash(
  { key, table }: LoadBalancer & { readonly kind: "consistent-hash" },
  { random }: BalancerParts,
): Balancer {
  let built: { readonly among: readonly Member[]; readonly lookUp: HashLookup } | null = null;
  return (among, caller) => {
    const text = caller === null ? null : hashKeyOf(key, caller);
    if (text === null) return pickRandom(among, random);
    if (built?.among !== among) built = { among, lookUp: buildTable(among, table) };
    return among[built.lookUp(stableHash(text))]!;
  };
}

function buildTable(among: readonly Member[], table: HashTable): HashLookup {
  // The address, not the place in the list: a member keeps its keys whoever comes and goes.
  const names = among.map(({ target }) => `${target.host}:${target.dialPort}`);
  return table.kind === "maglev" ? buildMaglev(names, table.tableSize) : buildHashRing(names, table.minimumRingSize);
}
