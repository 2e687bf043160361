import { type EdgeKey, type EdgeFacts, edgeFactsOf, KIND_COUNT } from "./flow-parts.ts";
import { mayRead } from "./flow-match.ts";
import type { EdgeEnd, EdgesAnswer, EdgeSum, ReadableNamespaces } from "./query.ts";
import { SUM_COUNT } from "./roll-up.ts";

interface Known {
  readonly key: EdgeKey;
  readonly sums: (Float64Array | null)[];
}

/** Adds up roll-ups of several files, and makes one story of what both sidecars of an edge told. */
export class EdgeSums {
  readonly #byObject = new Map<EdgeKey, Known>();
  readonly #byText = new Map<string, Known>();

  add(edge: EdgeKey, kind: number, counts: readonly number[]): void {
    const { sums } = this.#knownOf(edge);
    const before = (sums[kind] ??= new Float64Array(SUM_COUNT));
    for (let i = 0; i < SUM_COUNT; i++) before[i]! += counts[i]!;
  }

  /** Of what a reader may see; each exchange once. */
  list(namespaces: ReadableNamespaces): readonly EdgeSum[] {
    const all: EdgeSum[] = [];
    for (const { key, sums } of this.#byText.values()) {
      for (const [kind, counts] of sums.entries()) {
        if (counts === null) continue;
        const facts = edgeFactsOf(key, kind);
        if (mayRead(namespaces, facts.source, facts.destination)) all.push(sumOf(facts, counts));
      }
    }
    return oncePerExchange(all);
  }

  #knownOf(edge: EdgeKey): Known {
    // A file's own edges are the same objects each time.
    let known = this.#byObject.get(edge);
    if (known !== undefined) return known;
    const text = textOf(edge);
    known = this.#byText.get(text) ?? { key: edge, sums: Array.from({ length: KIND_COUNT }, () => null) };
    this.#byText.set(text, known);
    this.#byObject.set(edge, known);
    return known;
  }
}

/**
 * What several stores answered to one question, as one: in a cluster each replica has what the sidecars that it serves told,
 * and the two sides of an exchange may have told different ones.
 */
export function joinAnswers([first, ...others]: readonly [EdgesAnswer, ...EdgesAnswer[]]): EdgesAnswer {
  if (others.length === 0) return first;
  const all = [first, ...others];
  const sums = new Map<string, EdgeSum>();
  for (const sum of all.flatMap(({ edges }) => edges)) {
    const { flows, bytesReceived, bytesSent, latencyCounts, ...facts } = sum;
    const key = JSON.stringify(facts);
    const before = sums.get(key);
    sums.set(key, {
      ...facts,
      flows: flows + (before?.flows ?? 0),
      bytesReceived: bytesReceived + (before?.bytesReceived ?? 0),
      bytesSent: bytesSent + (before?.bytesSent ?? 0),
      latencyCounts: latencyCounts.map((count, i) => count + (before?.latencyCounts[i] ?? 0)),
    });
  }
  return {
    fromMs: Math.min(...all.map(({ fromMs }) => fromMs)),
    toMs: Math.max(...all.map(({ toMs }) => toMs)),
    edges: oncePerExchange([...sums.values()]),
    lostFlows: all.reduce((lost, { lostFlows }) => lost + lostFlows, 0),
  };
}

const texts = new WeakMap<EdgeKey, string>();

/** A file's edges last as long as its reader does, which answers many questions. */
function textOf(edge: EdgeKey): string {
  let text = texts.get(edge);
  if (text === undefined) texts.set(edge, (text = JSON.stringify(edge)));
  return text;
}

function sumOf(facts: EdgeFacts, counts: Float64Array): EdgeSum {
  const [flows, bytesReceived, bytesSent, ...latencyCounts] = counts;
  return { ...facts, flows: flows!, bytesReceived: bytesReceived!, bytesSent: bytesSent!, latencyCounts };
}

/**
 * Both sidecars tell of what came as far as the second: then the destination's word counts, which decided. The source knows
 * the group of the key exchange and which service was asked for, which a TLS server is not told.
 */
function oncePerExchange(sums: readonly EdgeSum[]): readonly EdgeSum[] {
  const told = new Set(sums.filter(({ reporter }) => reporter === "destination").map(pairOf));
  const asked = new Map(sums.filter(isMutualSource).map((sum) => [pairOf(sum), sum]));
  return sums
    .filter((sum) => !(isMutualSource(sum) && told.has(pairOf(sum))))
    .map((sum) => (sum.reporter === "source" ? sum : withSource(sum, asked.get(pairOf(sum)))));
}

/** Its caller's sidecar had a connection to another sidecar: that one has told of it as well. */
function isMutualSource({ reporter, tls }: EdgeSum): boolean {
  return reporter === "source" && tls.version !== null;
}

function pairOf({ source, destination, protocol }: EdgeSum): string {
  // None of them holds a space but an odd identity, which then shares its pair with nobody either.
  return `${source.principal} ${destination.principal} ${destination.port} ${protocol}`;
}

function withSource(sum: EdgeSum, asked: EdgeSum | undefined): EdgeSum {
  if (asked === undefined) return sum;
  return {
    ...sum,
    source: filled(sum.source, asked.source),
    destination: { ...filled(sum.destination, asked.destination), port: sum.destination.port },
    tls: { version: sum.tls.version, group: sum.tls.group ?? asked.tls.group },
  };
}

function filled(end: EdgeEnd, other: EdgeEnd): EdgeEnd {
  return {
    namespace: end.namespace ?? other.namespace,
    workload: end.workload ?? other.workload,
    service: end.service ?? other.service,
    principal: end.principal,
  };
}
