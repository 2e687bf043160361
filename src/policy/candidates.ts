import { type RequestTest, requestTestHolds } from "./clause-test.ts";
import type { Decision } from "./decision.ts";
import type { RequestFacts } from "./facts.ts";

/** One way for a rule to match, of which only the request has still to be asked. */
export interface Candidate {
  /** Place among the rules; of several matches the first is reported. */
  readonly order: number;
  readonly decision: Decision;
  readonly tests: readonly RequestTest[];
}

/**
 * Candidates by the path that they ask for, so that a decision's cost does not grow with their number. A candidate
 * stands under each of its paths without the test that being found there answers.
 */
export interface CandidateIndex {
  readonly byPath: ReadonlyMap<string, readonly Candidate[]>;
  /** Shortest prefixes first. */
  readonly byPrefix: readonly PrefixGroup[];
  /** Those that ask for no path, or for one by suffix, presence or template. */
  readonly rest: readonly Candidate[];
}

interface PrefixGroup {
  readonly length: number;
  readonly candidates: ReadonlyMap<string, readonly Candidate[]>;
}

/** A few are asked faster one after the other than found. */
const INDEXED_MIN = 8;

/** Builds the index. Candidates come in order. */
export function indexCandidates(candidates: readonly Candidate[]): CandidateIndex {
  if (candidates.length < INDEXED_MIN) return { byPath: new Map(), byPrefix: [], rest: candidates };
  const byPath = new Map<string, Candidate[]>();
  const byPrefix = new Map<number, Map<string, Candidate[]>>();
  const rest: Candidate[] = [];
  for (const candidate of candidates) {
    const test = candidate.tests.find(isFoundByPath);
    if (test === undefined) {
      rest.push(candidate);
      continue;
    }
    const found = { ...candidate, tests: candidate.tests.filter((each) => each !== test) };
    for (const path of test.matcher.exact) append(byPath, path, found);
    for (const prefix of test.matcher.prefixes) {
      const group = byPrefix.get(prefix.length) ?? new Map<string, Candidate[]>();
      byPrefix.set(prefix.length, group);
      append(group, prefix, found);
    }
  }
  const groups = [...byPrefix].map(([length, group]) => ({ length, candidates: group }));
  return { byPath, byPrefix: groups.toSorted((a, b) => a.length - b.length), rest };
}

/** The decision of the first candidate that the request fits, or null. Per request; allocates no more than substrings. */
export function firstMatch(index: CandidateIndex, request: RequestFacts): Decision | null {
  let first = firstOf(index.rest, request, null);
  if (index.byPath.size > 0) first = firstOf(index.byPath.get(request.path), request, first);
  for (const { length, candidates } of index.byPrefix) {
    if (length > request.path.length) break;
    first = firstOf(candidates.get(request.path.slice(0, length)), request, first);
  }
  return first === null ? null : first.decision;
}

function firstOf(
  candidates: readonly Candidate[] | undefined,
  request: RequestFacts,
  before: Candidate | null,
): Candidate | null {
  if (candidates === undefined) return before;
  for (const candidate of candidates) {
    if (before !== null && candidate.order >= before.order) return before;
    if (testsHold(candidate.tests, request)) return candidate;
  }
  return before;
}

function testsHold(tests: readonly RequestTest[], request: RequestFacts): boolean {
  for (const test of tests) if (!requestTestHolds(test, request)) return false;
  return true;
}

type PathTest = RequestTest & { readonly of: "path" };

/** A path that is wanted as it is, or by its beginning. */
function isFoundByPath(test: RequestTest): test is PathTest {
  if (test.of !== "path" || test.isNegated) return false;
  const { anyText, suffixes, templates } = test.matcher;
  return !anyText && suffixes.length === 0 && templates.length === 0;
}

function append(group: Map<string, Candidate[]>, key: string, candidate: Candidate): void {
  const known = group.get(key);
  if (known === undefined) group.set(key, [candidate]);
  else known.push(candidate);
}
