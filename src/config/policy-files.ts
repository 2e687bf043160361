import { createHash } from "node:crypto";
import { closestWord } from "../core/closest-word.ts";
import { type Fault, type Located, locatePlain } from "../core/located.ts";
import { lookUp } from "../core/schema.ts";
import { type Invariant, parseInvariant } from "../policy/analysis/invariant.ts";
import { type PolicyTest, parsePolicyTest } from "../policy/analysis/policy-test.ts";
import { type AuthenticationDocument, parseAuthenticationDocument } from "../policy/authentication/document.ts";
import { AUTHENTICATION_KINDS, isAuthenticationKind } from "../policy/authentication/kinds.ts";
import { type AuthorizationPolicy, parseAuthorizationPolicy } from "../policy/document.ts";
import { parseTrafficDocument, type TrafficDocument } from "../traffic/document.ts";
import { isTrafficKind, TRAFFIC_KINDS } from "../traffic/kinds.ts";
import { parseYaml } from "./yaml.ts";

/** A file's path, as it is to be named to people, and its text. */
export interface PolicyFile {
  readonly path: string;
  readonly text: string;
}

/** What a set of policy files says. A set with any fault is refused whole: it then has no documents and no tests. */
export interface PolicyFiles {
  readonly documents: readonly AuthorizationPolicy[];
  /** How workloads learn of their callers: RequestAuthentication. */
  readonly authentication: readonly AuthenticationDocument[];
  /** What is said of traffic: DestinationRule, VirtualService, HTTPRoute, GRPCRoute. */
  readonly traffic: readonly TrafficDocument[];
  readonly tests: readonly PolicyTest[];
  /** What must hold of the set whatever else it says; for `policy prove`. */
  readonly invariants: readonly Invariant[];
  readonly faults: readonly Fault[];
  /** Twelve hexadecimal digits that change when a text, or a file's name below the files' common directory, does. */
  readonly revision: string;
}

/** What a set says that is refused, or has no texts at all. */
export const NO_DOCUMENTS: Omit<PolicyFiles, "faults" | "revision"> = {
  documents: [],
  authentication: [],
  traffic: [],
  tests: [],
  invariants: [],
};

/** What good files said when they were last read, by path: whoever reads a set again and again reads the changed ones alone. */
export type PolicyReadings = Map<string, { readonly text: string; readonly found: Found }>;

/**
 * Reads policies, their tests and traffic rules, and Lists of them, out of YAML and JSON texts. `readings` is kept up to
 * date, and holds these files alone afterwards.
 */
export function parsePolicyFiles(files: readonly PolicyFile[], readings: PolicyReadings = new Map()): PolicyFiles {
  const all = files.map((file) => ({ file, found: readFile(file, readings) }));
  readings.clear();
  for (const { file, found } of all) if (found.faults.length === 0) readings.set(file.path, { text: file.text, found });
  const faults = all.flatMap(({ found }) => found.faults);
  const documents = all.flatMap(({ found }) => found.documents);
  const authentication = all.flatMap(({ found }) => found.authentication);
  const traffic = all.flatMap(({ found }) => found.traffic);
  const tests = all.flatMap(({ found }) => found.tests);
  const invariants = all.flatMap(({ found }) => found.invariants);
  addDuplicates(documents, "policies", faults);
  for (const [kind, same] of Map.groupBy([...authentication, ...traffic], (each) => each.kind))
    addDuplicates(same, `${kind}s`, faults);
  const revision = revisionOf(files);
  if (faults.length > 0) return { ...NO_DOCUMENTS, faults, revision };
  return { documents, authentication, traffic, tests, invariants, faults, revision };
}

function readFile({ path, text }: PolicyFile, readings: PolicyReadings): Found {
  const known = readings.get(path);
  if (known?.text === text) return known.found;
  const found = nothingFound();
  for (const located of parseYaml(text, path, found.faults).flatMap(withoutList)) readDocument(located, path, found);
  return found;
}

/**
 * One object of the Kubernetes API, read as it would be from a file and with the same faults. It was written nowhere, so
 * that they name its field alone; `name` stands where a file's path would.
 */
export function parsePolicyObject(object: unknown, name: string): Omit<PolicyFiles, "revision"> {
  const found = nothingFound();
  readDocument(locatePlain(object), name, found);
  return found.faults.length > 0 ? { ...NO_DOCUMENTS, faults: found.faults } : found;
}

interface Found {
  readonly faults: Fault[];
  readonly documents: AuthorizationPolicy[];
  readonly authentication: AuthenticationDocument[];
  readonly traffic: TrafficDocument[];
  readonly tests: PolicyTest[];
  readonly invariants: Invariant[];
}

function nothingFound(): Found {
  return { faults: [], documents: [], authentication: [], traffic: [], tests: [], invariants: [] };
}

/** Istio's kinds that a later version reads; enforcing a set as if they were not there would be a lie. */
const NOT_YET = ["Gateway", "ServiceEntry", "TCPRoute", "TLSRoute"];
const TAKEN = ["AuthorizationPolicy", ...AUTHENTICATION_KINDS, "PolicyTest", "Invariant", ...TRAFFIC_KINDS];
const KINDS = [...TAKEN, "List", ...NOT_YET];
const EXPECTED = TAKEN.join(", ");

function readDocument(located: Located, file: string, found: Found): void {
  const kind = scalarOf(located, "kind");
  if (kind === "AuthorizationPolicy") {
    const policy = parseAuthorizationPolicy(located, { file }, found.faults);
    if (policy !== null) found.documents.push(policy);
  } else if (kind === "PolicyTest") {
    const test = parsePolicyTest(located, { file }, found.faults);
    if (test !== null) found.tests.push(test);
  } else if (kind === "Invariant") {
    const invariant = parseInvariant(located, { file }, found.faults);
    if (invariant !== null) found.invariants.push(invariant);
  } else if (isAuthenticationKind(kind)) {
    const document = parseAuthenticationDocument(kind, located, { file }, found.faults);
    if (document !== null) found.authentication.push(document);
  } else if (isTrafficKind(kind)) {
    const document = parseTrafficDocument(kind, located, { file }, found.faults);
    if (document !== null) found.traffic.push(document);
  } else {
    const at = (lookUp(located, "kind") ?? located).at;
    const place = { file, line: at?.line ?? null, column: at?.column ?? null };
    found.faults.push({ ...place, field: located.kind === "map" ? "kind" : "", message: whyNot(located, kind) });
  }
}

function whyNot(located: Located, kind: string | null): string {
  if (located.kind !== "map") return "expected a map with apiVersion, kind, metadata and spec";
  if (kind === null) return `is required and must be a text, one of ${EXPECTED}`;
  if (NOT_YET.includes(kind)) return `${kind} is not yet supported`;
  const closest = closestWord(kind, KINDS);
  const hint = closest === null ? "" : `; did you mean \`${closest}\`?`;
  return `expected one of ${EXPECTED}, found ${JSON.stringify(kind)}${hint}`;
}

/** `kubectl get -o yaml` wraps what it prints into a List. */
function withoutList(located: Located): readonly Located[] {
  const items = lookUp(located, "items");
  return scalarOf(located, "kind") === "List" && items?.kind === "list" ? items.items : [located];
}

function scalarOf(located: Located, key: string): string | null {
  const value = lookUp(located, key);
  return value?.kind === "scalar" && typeof value.value === "string" ? value.value : null;
}

/** Kubernetes could hold only one of two objects with the same name; from files, which one would be a guess. */
function addDuplicates(
  documents: readonly Pick<AuthorizationPolicy, "id" | "source">[],
  plural: string,
  faults: Fault[],
): void {
  const first = new Map<string, Pick<AuthorizationPolicy, "source">>();
  for (const { id, source } of documents) {
    const before = first.get(id);
    if (before === undefined) first.set(id, { source });
    else {
      const place = `${before.source.file}:${before.source.line ?? 1}`;
      const message = `there are two ${plural} ${id}; the other is at ${place}`;
      faults.push({ ...source, column: 1, field: "metadata.name", message });
    }
  }
}

/** Where the files lie does not matter to what they say, so the directory that they share is left out. */
function revisionOf(files: readonly PolicyFile[]): string {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const shared = sharedDirectoryLength(sorted.map((file) => file.path));
  const hash = createHash("sha256");
  for (const { path, text } of sorted) hash.update(JSON.stringify([path.slice(shared), text]));
  return hash.digest("hex").slice(0, 12);
}

function sharedDirectoryLength(paths: readonly string[]): number {
  const first = paths[0] ?? "";
  let length = first.lastIndexOf("/") + 1;
  for (const path of paths) {
    // A slash at the very beginning is the last to be given up: one path is absolute and another is not.
    while (!path.startsWith(first.slice(0, length))) length = length < 2 ? 0 : first.lastIndexOf("/", length - 2) + 1;
  }
  return length;
}
