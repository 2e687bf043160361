import { type Cidr, type IpAddress, parseCidr } from "../core/cidr.ts";
import { trustDomainOf, workloadNameOf } from "../core/spiffe-id.ts";
import type { PeerAttribute } from "./attributes.ts";
import { isMatchedWide, type PeerTest, type PeerView } from "./clause-test.ts";
import { localDomains, withAliases } from "./identity-matcher.ts";
import type { Lookup, Pattern, Subject, TestLanguage } from "./lookup/lookup.ts";
import { patternsOf } from "./lookup/text-patterns.ts";
import { compileText } from "./matcher.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { Literal } from "./normal-form.ts";
import { parsePort } from "./values.ts";

/** A test on a peer, as trees take it. What is found is asked all the same: this is done once a peer. */
export interface PeerCheck {
  readonly holds: PeerTest;
  readonly lookup: Lookup<PeerCheck, PeerView> | null;
}

/** How trees find peers. */
export const PEER_CHECKS: TestLanguage<PeerCheck, PeerView> = {
  holds: (check, peer) => check.holds(peer),
  lookupOf: (check) => check.lookup,
};

type PeerSubject = Subject<PeerView>;
type PeerPattern = Pattern<PeerCheck>;

/** A literal's compiled test with the way to find it. One that does not want its values is only asked. */
export function peerCheck(
  literal: Literal,
  attribute: PeerAttribute,
  holds: PeerTest,
  settings: MeshSettings,
): PeerCheck {
  const confirm: PeerCheck = { holds, lookup: null };
  const found = literal.clause.isNegated ? null : findBy(literal, attribute, settings);
  if (found === null) return confirm;
  const patterns = found.patterns.map(({ kind, text }): PeerPattern => ({ kind, text, confirm }));
  return { holds, lookup: { subject: found.subject, patterns, isNegated: false } };
}

interface FoundBy {
  readonly subject: PeerSubject;
  readonly patterns: readonly Pick<PeerPattern, "kind" | "text">[];
}

/** At least what each value of the clause matches; null where no text tells. */
function findBy(
  { clause, policy, namesTrustDomains }: Literal,
  attribute: PeerAttribute,
  settings: MeshSettings,
): FoundBy | null {
  const { values } = clause;
  const isWide = isMatchedWide(clause, policy);
  const isAnyDomain = isWide || namesTrustDomains;
  switch (attribute) {
    case "source.principal":
      return byText(
        PRINCIPAL,
        values.flatMap((value) => withAliases(value, settings)),
      );
    case "source.namespace":
      return byNamespace(values, isAnyDomain, settings);
    case "source.serviceAccount":
      return byAccount(values, isAnyDomain, policy.namespace, settings);
    case "source.trustDomain":
      return null;
    case "source.ip":
      return byAddress(SOURCE_IP, values, isWide);
    case "remote.ip":
      return byAddress(REMOTE_IP, values, isWide);
    case "destination.ip":
      return byAddress(DESTINATION_IP, values, isWide);
    case "destination.port":
      return { subject: PORT, patterns: values.map((value) => exactly(String(parsePort(value)))) };
    case "connection.sni":
      return byText(SNI, values);
  }
}

const PRINCIPAL: PeerSubject = {
  key: "principal",
  textOf: ({ principal }) => principal?.slice("spiffe://".length),
};
const PORT: PeerSubject = { key: "port", textOf: ({ destinationPort }) => String(destinationPort) };
const SNI: PeerSubject = { key: "sni", textOf: ({ sni }) => sni ?? "" };
const SOURCE_IP = addressSubject("source ip", ({ sourceIp }) => sourceIp);
const REMOTE_IP = addressSubject("remote ip", ({ remoteIp }) => remoteIp);
const DESTINATION_IP = addressSubject("destination ip", ({ destinationIp }) => destinationIp);
/** In federated shapes a step may come more than once, and a wide matcher takes any. */
const ANY_NAMESPACE: PeerSubject = { key: "any namespace", textOf: ({ principal }) => stepsAfter("ns", principal) };
const ANY_ACCOUNT: PeerSubject = { key: "any account", textOf: ({ principal }) => stepsAfter("sa", principal) };

function exactly(text: string): FoundBy["patterns"][number] {
  return { kind: "exact", text };
}

function byText(subject: PeerSubject, values: readonly string[]): FoundBy | null {
  const patterns = patternsOf(compileText(values));
  return patterns === null ? null : { subject, patterns };
}

function byNamespace(values: readonly string[], isAnyDomain: boolean, settings: MeshSettings): FoundBy | null {
  const subject = isAnyDomain ? ANY_NAMESPACE : localName("namespace", settings, ({ namespace }) => namespace);
  const patterns = values.map((value) => namespacePattern(value, isAnyDomain));
  return patterns.every((pattern) => pattern !== null) ? { subject, patterns } : null;
}

/** A glob with one star at an end. A wide one that begins with a star may end anywhere in the identity. */
function namespacePattern(value: string, isAnyDomain: boolean): FoundBy["patterns"][number] | null {
  const text = value.replace(/^\*|\*$/, "");
  if (text === "" || /[*/]/.test(text)) return null;
  if (text === value) return exactly(value);
  if (value.endsWith("*")) return { kind: "prefix", text };
  return isAnyDomain ? null : { kind: "suffix", text };
}

function byAccount(
  values: readonly string[],
  isAnyDomain: boolean,
  policyNamespace: string,
  settings: MeshSettings,
): FoundBy {
  if (isAnyDomain) return { subject: ANY_ACCOUNT, patterns: values.map((value) => exactly(value.split("/").at(-1)!)) };
  const subject = localName("account", settings, (name) => `${name.namespace}/${name.serviceAccount}`);
  return {
    subject,
    patterns: values.map((value) => exactly(value.includes("/") ? value : `${policyNamespace}/${value}`)),
  };
}

function localName(
  key: string,
  settings: MeshSettings,
  partOf: (name: NonNullable<ReturnType<typeof workloadNameOf>>) => string,
): PeerSubject {
  const domains = localDomains(settings);
  return {
    key,
    textOf: ({ principal }) => {
      const name = principal !== null && domains.has(trustDomainOf(principal)) ? workloadNameOf(principal) : null;
      return name === null ? undefined : partOf(name);
    },
  };
}

function stepsAfter(step: string, principal: PeerView["principal"]): readonly string[] {
  const steps = principal?.split("/") ?? [];
  return steps.filter((_, i) => steps[i - 1] === step);
}

/** An address as the bits that it begins with, so that a range is a prefix. */
function byAddress(subject: PeerSubject, values: readonly string[], isWide: boolean): FoundBy {
  const ranges = values.map((value) => ({ kind: "prefix", text: bitsOfRange(parseCidr(value)) }) as const);
  // What is not known counts as inside of what takes away.
  return { subject, patterns: isWide ? [...ranges, exactly(UNKNOWN_ADDRESS)] : ranges };
}

const UNKNOWN_ADDRESS = "unknown";

function addressSubject(key: string, addressOf: (peer: PeerView) => IpAddress | null): PeerSubject {
  return {
    key,
    textOf: (peer) => {
      const address = addressOf(peer);
      return address === null ? UNKNOWN_ADDRESS : bitsOf(address.family, address.bits, widthOf(address.family));
    },
  };
}

function bitsOfRange({ family, prefix, hostBits }: Cidr): string {
  return bitsOf(family, prefix, widthOf(family) - Number(hostBits));
}

function bitsOf(family: 4 | 6, bits: bigint, length: number): string {
  return `${family}:${length === 0 ? "" : bits.toString(2).padStart(length, "0")}`;
}

function widthOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}
