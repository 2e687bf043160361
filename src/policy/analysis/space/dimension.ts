import { parseCidr } from "../../../core/cidr.ts";
import { parseSpiffeId } from "../../../core/spiffe-id.ts";
import type { Clause } from "../../clause.ts";
import type { MeshSettings } from "../../mesh-settings.ts";
import { parsePort } from "../../values.ts";
import { type ClaimDimension, claimDimensionOf, claimValues, isClaimDimension } from "./claim-dimension.ts";
import { languageOf } from "./clause-patterns.ts";
import type { Facts } from "./facts.ts";
import type { Test } from "./formula.ts";
import { type Budget, examplesOf, type Universe } from "./language.ts";
import { FIELD_VALUES, HOSTS, METHODS, pathsAfter, SERVER_NAMES, SPIFFE_IDS, WORKLOAD_IDS } from "./universes.ts";

/** What clauses can ask about independently of one another: several attributes that look at one thing are one dimension. */
export type DimensionName =
  | "principal"
  | "port"
  | "method"
  | "source-ip"
  | "remote-ip"
  | "destination-ip"
  | "sni"
  | "host"
  | "path"
  | `header ${string}`
  | ClaimDimension;

/** Values of one thing, at least one of each kind that the tests tell apart. */
export interface Dimension {
  readonly name: DimensionName;
  readonly values: readonly Partial<Facts>[];
}

/** Values that an example should rather have than one made up, and which ones are possible at all. */
export interface Known {
  readonly principals: readonly Facts["principal"][];
  /** Whether there may be identities besides those, and callers without one. */
  readonly isOpen: boolean;
  /** Null: any port. */
  readonly ports: readonly number[] | null;
  readonly hosts: readonly string[];
}

/** Where a clause looks. */
export function dimensionOf({ attribute, header, claim }: Clause, settings: MeshSettings): DimensionName {
  switch (attribute) {
    case "source.principal":
    case "source.namespace":
    case "source.serviceAccount":
    case "source.trustDomain":
      return "principal";
    case "source.ip":
      return "source-ip";
    case "remote.ip":
      // Where nobody is trusted to name the client, both addresses are one.
      return settings.numTrustedProxies === 0 ? "source-ip" : "remote-ip";
    case "destination.ip":
      return "destination-ip";
    case "destination.port":
      return "port";
    case "connection.sni":
      return "sni";
    case "request.method":
      return "method";
    case "request.path":
      return "path";
    case "request.host":
      return "host";
    case "request.headers":
      // The header `host` is the authority, see headerOf.
      return header === "host" ? "host" : `header ${header}`;
    case "request.auth.principal":
    case "request.auth.audiences":
    case "request.auth.presenter":
    case "request.auth.claims":
      return claimDimensionOf(claim);
  }
}

/** The dimension with values for all that the tests tell apart; null: there are too many to look at. */
export function dimensionFor(
  name: DimensionName,
  tests: readonly Test[],
  { settings, known, budget }: { readonly settings: MeshSettings; readonly known: Known; readonly budget: Budget },
): Dimension | null {
  const texts = (universe: Universe): readonly string[] | null => {
    const languages = tests.map(({ clause, context }) => languageOf(clause, context));
    return examplesOf(languages, universe, budget);
  };
  const values = valuesOf(name, tests, texts, { settings, known, budget });
  return values === null ? null : { name, values };
}

type Values = readonly Partial<Facts>[];

function valuesOf(
  name: DimensionName,
  tests: readonly Test[],
  texts: Texts,
  { settings, known, budget }: { readonly settings: MeshSettings; readonly known: Known; readonly budget: Budget },
): Values | null {
  const clauses = tests.map(({ clause }) => clause);
  if (isClaimDimension(name)) return claimValues(name, tests, budget);
  switch (name) {
    case "principal":
      return principals(texts, settings, known);
    case "port":
      return (known.ports ?? portsOf(clauses)).map((destinationPort) => ({ destinationPort }));
    case "source-ip":
      return addressesOf(clauses).map((sourceIp) => ({ sourceIp }));
    case "remote-ip":
      return addressesOf(clauses).map((remoteIp) => ({ remoteIp }));
    case "destination-ip":
      return addressesOf(clauses).map((destinationIp) => ({ destinationIp }));
    case "sni":
      return texts(SERVER_NAMES)?.map((sni) => ({ sni })) ?? null;
    case "method":
      return withFirst(COMMON_METHODS, texts(METHODS))?.map((method) => ({ method })) ?? null;
    case "host":
      return hosts(texts, known);
    case "path":
      return texts(pathsAfter(settings.pathNormalization))?.map((path) => ({ path })) ?? null;
    default:
      return headers(name.slice("header ".length), texts);
  }
}

const COMMON_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

function withFirst(first: readonly string[], others: readonly string[] | null): readonly string[] | null {
  return others === null ? null : [...new Set([...first, ...others])];
}

type Texts = (universe: Universe) => readonly string[] | null;

/** Known identities first, then nobody, then strangers: of a kind, the first is the example. */
function principals(texts: Texts, settings: MeshSettings, known: Known): Values | null {
  const named = known.principals.map((principal) => ({ principal }));
  if (!known.isOpen) return named;
  const workloads = texts(WORKLOAD_IDS);
  const others = texts(SPIFFE_IDS);
  if (workloads === null || others === null) return null;
  const stranger = `/${settings.trustDomain}/ns/some-namespace/sa/some-account`;
  const ids = [stranger, ...workloads, ...others].map((id) => ({ principal: parseSpiffeId(`spiffe:/${id}`) }));
  return [...named, { principal: null }, ...ids];
}

/** Compared in lower case by `hosts` and with case by `request.headers[:authority]`; an example of either is in `texts`. */
function hosts(texts: Texts, known: Known): Values | null {
  const found = withFirst(known.hosts, texts(HOSTS));
  return found?.map((host) => ({ host })) ?? null;
}

/** Absent, or with a value. */
function headers(name: string, texts: Texts): Values | null {
  const values = texts(FIELD_VALUES);
  return values === null ? null : [{}, ...values.map((value) => ({ headers: { [name]: value } }))];
}

/** Each port that is named, and one that is not. */
function portsOf(clauses: readonly Clause[]): readonly number[] {
  const named = new Set(clauses.flatMap(({ values }) => values.map(parsePort)));
  let other = 8080;
  while (named.has(other)) other += 1;
  return [other, ...named];
}

/**
 * One address of each interval that the blocks' bounds cut the two families into: they begin at a block's first address or
 * behind its last.
 */
function addressesOf(clauses: readonly Clause[]): readonly string[] {
  const starts: Record<4 | 6, Set<bigint>> = { 4: new Set([DOCUMENTATION]), 6: new Set([0n, BEHIND_MAPPED]) };
  for (const block of clauses.flatMap(({ values }) => values.map(parseCidr))) {
    const first = block.prefix << block.hostBits;
    const behind = first + (1n << block.hostBits);
    starts[block.family].add(0n).add(first);
    if (behind < 1n << WIDTH[block.family]) starts[block.family].add(behind);
  }
  // ::ffff:0:0/96 is IPv4 to whoever reads it.
  const six = [...starts[6]].filter((bits) => bits >> 32n !== 0xffffn);
  return [...[...starts[4]].map(formatIpv4), ...six.map(formatIpv6)];
}

/** The first address behind ::ffff:0:0/96. */
const BEHIND_MAPPED = 1n << 48n;
const WIDTH = { 4: 32n, 6: 128n } as const;
/** 192.0.2.1 */
const DOCUMENTATION = 0xc0_00_02_01n;

function formatIpv4(bits: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join(".");
}

function formatIpv6(bits: bigint): string {
  return Array.from({ length: 8 }, (_, i) => ((bits >> BigInt(112 - 16 * i)) & 0xffffn).toString(16)).join(":");
}
