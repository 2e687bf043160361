import { isDeepStrictEqual } from "node:util";
import { type AuthenticationDocument, ofKind } from "../authentication/document.ts";
import type { JwtRule } from "../authentication/jwt-rule.ts";
import { mutualTlsAt, type PortMutualTls } from "../authentication/mutual-tls.ts";
import { mutualTlsFor } from "../authentication/see-peer.ts";
import { type Decision, plaintextRefused } from "../decision.ts";
import type { AuthorizationPolicy } from "../document.ts";
import { decideQuestion } from "../explain.ts";
import type { MeshSettings } from "../mesh-settings.ts";
import { selectPolicies } from "../select.ts";
import type { Flip } from "./diff.ts";
import { type Destination, destinationsOf, type KnownWorkload, nameOf } from "./known-workload.ts";
import { accessTo } from "./space/access.ts";
import { explore } from "./space/explore.ts";
import { type Facts, questionOf } from "./space/facts.ts";

/** One of two sets, as far as it says who callers are. */
interface Side {
  readonly documents: readonly AuthorizationPolicy[];
  readonly authentication: readonly AuthenticationDocument[];
}

interface Ground {
  readonly before: Side;
  readonly after: Side;
  readonly settings: MeshSettings;
  readonly workloads: readonly KnownWorkload[];
}

export interface AuthenticationDiff {
  /** Callers without identity, let in or kept out. */
  readonly flips: readonly Flip[];
  /** What else changes, a sentence each. */
  readonly notes: readonly string[];
  /** Destinations with more to tell apart than could be looked at. */
  readonly unknown: readonly string[];
}

/** What RequestAuthentications and PeerAuthentications change for the workloads that are known. */
export function diffAuthentication(ground: Ground): AuthenticationDiff {
  const flips: Flip[] = [];
  const notes: string[] = [];
  const unknown: string[] = [];
  for (const workload of ground.workloads) {
    for (const destination of destinationsOf(workload)) {
      const found = plaintextFlips(destination, ground);
      if (found === null) unknown.push(nameOf(destination));
      else flips.push(...found);
    }
    notes.push(...modeNotes(workload, ground), ...issuerNotes(workload, ground));
  }
  return { flips, notes, unknown };
}

/** A port that opens to plaintext, or closes: what the policies of the side that is open allow callers without identity. */
function plaintextFlips(destination: Destination, { before, after, settings }: Ground): readonly Flip[] | null {
  const { workload, port } = destination;
  const [was, is] = [modeAt(before, destination, settings), modeAt(after, destination, settings)];
  if ((was.mode === "STRICT") === (is.mode === "STRICT")) return [];
  const isOpened = was.mode === "STRICT";
  const about = { settings, protocol: destination.protocol };
  const open = isOpened ? after : before;
  const access = accessTo(open.documents, workload, about);
  const regions = explore(
    access.formulas,
    (truthOf) => {
      const verdict = access.decide(truthOf);
      return verdict === null ? null : { outcome: verdict };
    },
    {
      settings,
      known: { principals: [null], isOpen: false, ports: port === null ? null : [port], hosts: workload.hosts },
      apart: ["principal"],
    },
    ({ allow, formula }) => (allow ? `${formula?.policy.id ?? ""}#${formula?.rule.index ?? ""}` : ""),
  );
  if (regions === null) return null;
  return regions
    .filter(({ outcome }) => outcome.allow)
    .map(({ example }) =>
      flipOf(destination, example, { isOpened, documents: open.documents, settings, by: isOpened ? was.by : is.by }),
    );
}

interface Opening {
  readonly isOpened: boolean;
  readonly documents: readonly AuthorizationPolicy[];
  readonly settings: MeshSettings;
  readonly by: string | null;
}

function flipOf(destination: Destination, example: Facts, { isOpened, documents, settings, by }: Opening): Flip {
  const { workload, protocol } = destination;
  const decided = decideQuestion(documents, questionOf(example, { workload, settings, protocol }));
  const refused: Decision = plaintextRefused(by ?? STRICT_OF_OURS);
  const [before, after] = isOpened ? [refused, decided] : [decided, refused];
  return { destination, change: isOpened ? "newly-allowed" : "newly-denied", before, after, examples: [example] };
}

/** How a decision names the mode that holds where no PeerAuthentication speaks. */
const STRICT_OF_OURS = "mesh/default";

function modeAt({ authentication }: Side, { workload, port }: Destination, settings: MeshSettings): PortMutualTls {
  const mutualTls = mutualTlsFor(authentication, workload, settings.rootNamespace);
  return port === null ? mutualTls : mutualTlsAt(mutualTls, port);
}

function modeNotes(workload: KnownWorkload, { before, after, settings }: Ground): readonly string[] {
  const notes = new Set<string>();
  for (const destination of destinationsOf(workload)) {
    const [was, is] = [modeAt(before, destination, settings), modeAt(after, destination, settings)];
    if (was.mode === is.mode) continue;
    const where = `${workload.name}${destination.port === null ? "" : `:${destination.port}`}`;
    const nobody = is.mode === "DISABLE" ? ": nobody has an identity there, so that no rule on callers matches" : "";
    const somebody = was.mode === "DISABLE" ? ": callers have identities there again" : nobody;
    notes.add(`${where} ${was.mode} → ${is.mode} (${is.by ?? was.by ?? STRICT_OF_OURS})${somebody}`);
  }
  return [...notes];
}

/** Whose tokens a workload begins or ceases to know, or knows in another way. */
function issuerNotes(workload: KnownWorkload, { before, after, settings }: Ground): readonly string[] {
  const rulesOf = ({ authentication }: Side) =>
    Map.groupBy(
      selectPolicies(ofKind(authentication, "RequestAuthentication"), workload, settings.rootNamespace).flatMap(
        ({ jwtRules }) => jwtRules,
      ),
      ({ issuer }) => issuer ?? "any issuer",
    );
  const [was, is] = [rulesOf(before), rulesOf(after)];
  const notes: string[] = [];
  for (const issuer of new Set([...was.keys(), ...is.keys()])) {
    const [old, now] = [was.get(issuer) ?? [], is.get(issuer) ?? []];
    if (isDeepStrictEqual(old, now)) continue;
    notes.push(`${workload.name}: ${issuerNote(issuer, old, { now, isAnyLeft: is.size > 0 })}`);
  }
  return notes;
}

function issuerNote(
  issuer: string,
  old: readonly JwtRule[],
  { now, isAnyLeft }: { readonly now: readonly JwtRule[]; readonly isAnyLeft: boolean },
): string {
  if (old.length === 0) return `tokens of ${issuer} are known now: their users are principals, and bad ones get 401`;
  if (now.length === 0)
    return isAnyLeft
      ? `tokens of ${issuer} are known no more: requests with them get 401`
      : `tokens of ${issuer} are known no more, nor any: requests with them pass without a user`;
  const fields = FIELDS.filter(
    (field) =>
      !isDeepStrictEqual(
        old.map((rule) => rule[field]),
        now.map((rule) => rule[field]),
      ),
  );
  return `tokens of ${issuer} are taken otherwise: ${fields.join(", ")}`;
}

const FIELDS = [
  "audiences",
  "keys",
  "places",
  "isRequired",
  "isTokenForwarded",
  "payloadHeader",
  "claimHeaders",
  "spaceDelimitedClaims",
  "timeoutMs",
] as const satisfies readonly (keyof JwtRule)[];
