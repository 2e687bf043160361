import { runSteps } from "../../../src/core/slices.ts";
import { compilePolicy, compileSteps } from "../../../src/policy/compile.ts";
import { bindPeer, type BoundPolicy, type CompiledPolicy, decideBound } from "../../../src/policy/decide.ts";
import type { PeerFacts } from "../../../src/policy/facts.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";
import { type Mix, peerOf, policiesOf, readRequest, type WireRequest, wireRequestOf } from "./mixes.ts";

/** What one mix costs at one number of rules: processor time. */
export interface MixCost {
  readonly rules: number;
  readonly compileMs: number;
  /** One policy of them has changed. */
  readonly changeMs: number;
  /** A peer that was not seen before. */
  readonly bindUs: number;
  /** A request that a rule fits, and one that none does. */
  readonly hitNs: number;
  readonly missNs: number;
  /** Decisions that were not what the mix says they are: the bench would measure something else. */
  readonly surprises: number;
}

const ROUNDS = 7;
/** Requests that go around. */
const REQUESTS = 512;
/** Decisions in a round, fewer where they are slow. */
const DECISIONS = 4_096;
/** Rules and peers that are asked about. */
const PLACES = 8;
const ROUND_MS_MAX = 15;

/** All sizes in turn within each round, so that what else the machine does falls on all of them. */
export function measureMix(mix: Mix, sizes: readonly number[]): readonly MixCost[] {
  const worlds = sizes.map((rules) => openWorld(mix, rules));
  for (let round = 0; round < ROUNDS; round++) for (const world of worlds) world.run();
  return worlds.map((world) => world.cost());
}

interface World {
  run(): void;
  cost(): MixCost;
}

function openWorld(mix: Mix, rules: number): World {
  const documents = policiesOf(mix, rules);
  const workload = { namespace: "shop", labels: {} };
  const compile = (): CompiledPolicy => compilePolicy(documents, workload, DEFAULT_MESH_SETTINGS);
  const compiles = [1, 2, 3].map(() => timedMs(compile));
  const compiled = compile();
  const changed = documents.with(documents.length >> 1, { ...documents[documents.length >> 1]! });
  const change = (): CompiledPolicy => runSteps(compileSteps(changed, workload, DEFAULT_MESH_SETTINGS, compiled));
  const changes = [1, 2, 3].map(() => timedMs(change));
  const places = Array.from({ length: PLACES }, (_, i) => Math.floor(((i + 0.5) * rules) / PLACES));
  const peers = places.map((place) => peerOf(mix, place));
  const bound = peers.map((peer) => bindPeer(compiled, peer));
  const outcome = `${mix.outcome ?? "allow"}-rule-matched`;
  const samples = { hit: [] as number[], miss: [] as number[], bind: [] as number[] };
  const hits = questionsOf(bound, (i) => wireRequestOf(mix, places[i % PLACES]!, i));
  const misses = questionsOf(bound, (i) => wireRequestOf(mix, null, i));
  const surprises =
    hits.filter((asked) => reasonOf(asked) !== outcome).length +
    misses.filter((asked) => reasonOf(asked).endsWith("-rule-matched") && !reasonOf(asked).startsWith("no-")).length;
  const run = (): void => {
    samples.hit.push(nanosOf(hits));
    samples.miss.push(nanosOf(misses));
    samples.bind.push(bindMicros(compile(), peers));
  };
  return {
    run,
    cost: () => ({
      rules,
      compileMs: Math.min(...compiles),
      changeMs: Math.min(...changes),
      bindUs: median(samples.bind),
      hitNs: median(samples.hit),
      missNs: median(samples.miss),
      surprises,
    }),
  };
}

type Asked = readonly [BoundPolicy, WireRequest];

function questionsOf(bound: readonly BoundPolicy[], requestAt: (i: number) => WireRequest): readonly Asked[] {
  return Array.from({ length: REQUESTS }, (_, i) => [bound[i % PLACES]!, requestAt(i)] as const);
}

function reasonOf([bound, request]: Asked): string {
  return decideBound(bound, readRequest(request)).reason;
}

/** What deciding adds to reading, of texts that nobody has looked at yet. */
function nanosOf(asked: readonly Asked[]): number {
  let done = 0;
  let spentMs = 0;
  // Few at a time where they are slow.
  for (let step = 256; done < DECISIONS && spentMs < ROUND_MS_MAX; step *= 2) {
    const count = Math.min(step, DECISIONS - done);
    spentMs -= timedMs(() => {
      for (let i = 0; i < count; i++) readRequest(asked[i % REQUESTS]![1]).header("");
    });
    spentMs += timedMs(() => {
      for (let i = 0; i < count; i++) {
        const [bound, request] = asked[i % REQUESTS]!;
        decideBound(bound, readRequest(request));
      }
    });
    done += count;
  }
  return (spentMs / done) * 1e6;
}

/** The first peers of a policy that was just compiled. */
function bindMicros(compiled: CompiledPolicy, peers: readonly PeerFacts[]): number {
  const ms = timedMs(() => {
    for (const peer of peers) bindPeer(compiled, peer);
  });
  return (ms / peers.length) * 1_000;
}

function timedMs(act: () => void): number {
  // Not that of the thread alone, which the kernel tells in ticks of 4 ms.
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** A difference can come out too small as well as too large. */
function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[samples.length >> 1]!;
}
