import { closestWord } from "../../core/closest-word.ts";
import { POD_PORTS, podPortUse } from "../../core/pod-ports.ts";
import { isInRanges, parsePortRanges } from "../../core/port-range.ts";
import {
  type Annotation,
  type AnnotationName,
  ANNOTATIONS,
  FOREIGN_PREFIXES,
  OWN_PREFIX,
  type PodOptions,
} from "./annotations.ts";
import { Refused } from "./injection.ts";
import { ALLOWED_BYPASSES_ANNOTATION, INJECT_LABEL, REVISION_LABEL, STATUS_ANNOTATION } from "./names.ts";

type Annotations = Readonly<Record<string, string>>;

/**
 * What a pod's annotations say; what it leaves out, its namespace's stand in for. Throws Refused: an unknown one of ours, a
 * value that cannot be read, two names for the same with different values, ports that are both in and out.
 */
export function readPodOptions(ofPod: Annotations, ofNamespace: Annotations): PodOptions {
  for (const annotations of [ofPod, ofNamespace]) refuseUnknown(annotations);
  const names = Object.keys(ANNOTATIONS) as AnnotationName[];
  const read = names.map((name) => [
    name,
    readOne(ANNOTATIONS[name], ofPod) ?? readOne(ANNOTATIONS[name], ofNamespace),
  ]);
  // Each name was read by its own entry of the table.
  const options = Object.fromEntries(read) as PodOptions;
  refuseContradictions(options);
  refuseOwnPorts(options);
  return options;
}

/** Annotations of other meshes that mean nothing here, of a pod that asks for ours. */
export function foreignWarnings(annotations: Annotations): readonly string[] {
  const known = new Set(Object.values(ANNOTATIONS).flatMap(({ aliases }) => aliases.map(({ key }) => key)));
  const unknown = Object.keys(annotations)
    .filter((key) => FOREIGN_PREFIXES.some((prefix) => key.startsWith(prefix)))
    .filter((key) => !known.has(key) && !HARMLESS.has(key));
  return unknown.length === 0 ? [] : [`of no meaning to Cardea: ${unknown.join(", ")}`];
}

/** Read as a label's twin, or written by the other mesh itself. */
const HARMLESS: ReadonlySet<string> = new Set(["sidecar.istio.io/inject", "sidecar.istio.io/status"]);

const NOT_OPTIONS: ReadonlySet<string> = new Set([
  STATUS_ANNOTATION,
  INJECT_LABEL,
  REVISION_LABEL,
  ALLOWED_BYPASSES_ANNOTATION,
]);

function refuseUnknown(annotations: Annotations): void {
  const known = Object.values(ANNOTATIONS).map(({ key }) => key);
  for (const key of Object.keys(annotations)) {
    if (!key.startsWith(OWN_PREFIX) || NOT_OPTIONS.has(key) || known.includes(key)) continue;
    const meant = closestName(key, known);
    throw new Refused(
      `there is no annotation ${key}`,
      meant === null ? `take it out; known are ${known.join(", ")}` : `did you mean ${meant}?`,
    );
  }
}

/** Compared without the prefix, which all of them share. */
function closestName(key: string, known: readonly string[]): string | null {
  const meant = closestWord(
    key.slice(OWN_PREFIX.length),
    known.map((each) => each.slice(OWN_PREFIX.length)),
  );
  return meant === null ? null : `${OWN_PREFIX}${meant}`;
}

type Value = string | number | boolean;

interface Said {
  readonly key: string;
  readonly text: string;
  readonly value: Value;
}

/** Our own name and its aliases are equals: two that say the same are one, two that differ are refused. */
function readOne(annotation: Annotation<Value>, annotations: Annotations): Value | null {
  const said: Said[] = [];
  for (const { key, value } of [{ key: annotation.key, value: annotation.value }, ...annotation.aliases]) {
    const text = Object.hasOwn(annotations, key) ? annotations[key] : undefined;
    if (text !== undefined) said.push({ key, text, value: parseValue(key, text, (each) => value.parse(each)) });
  }
  const [first] = said;
  const other = said.find(({ value }) => value !== first?.value);
  if (first === undefined || other === undefined) return first?.value ?? null;
  throw new Refused(
    `the annotations ${first.key} (${JSON.stringify(first.text)}) and ${other.key} (${JSON.stringify(other.text)}) mean the same and differ`,
    `keep one of them; ${annotation.key} is ours`,
  );
}

function parseValue(key: string, text: string, parse: (text: string) => Value): Value {
  try {
    return parse(text);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Refused(`the annotation ${key}: ${why}`, `correct its value, or take the annotation out`);
  }
}

/** Pairs of which the one takes in what the other leaves out. */
const OPPOSITES = [
  ["inboundPorts", "excludeInboundPorts"],
  ["outboundPorts", "excludeOutboundPorts"],
] as const;

function refuseContradictions(options: PodOptions): void {
  for (const [taken, left] of OPPOSITES) {
    const included = options[taken];
    if (included === null || included === "all") continue;
    const excluded = parsePortRanges(options[left] ?? "");
    const both = parsePortRanges(included).find(({ from, to }) => {
      return excluded.some((range) => range.from <= to && from <= range.to) || isInRanges(excluded, from);
    });
    if (both === undefined) continue;
    const port = both.from === both.to ? `port ${both.from}` : `ports ${both.from}-${both.to}`;
    throw new Refused(
      `${ANNOTATIONS[taken].key} takes ${port} in, and ${ANNOTATIONS[left].key} leaves it out`,
      "take it out of one of the two",
    );
  }
}

/** To capture a port of the sidecar's own would be a loop; `cardea redirect` refuses it as well, when the pod starts. */
function refuseOwnPorts({ inboundPorts }: PodOptions): void {
  if (inboundPorts === null || inboundPorts === "all") return;
  const ranges = parsePortRanges(inboundPorts);
  const own = Object.values(POD_PORTS).find((port) => isInRanges(ranges, port));
  if (own === undefined) return;
  throw new Refused(
    `${ANNOTATIONS.inboundPorts.key} takes in port ${own}, which is the sidecar's own (${podPortUse(own)})`,
    "leave it out of the list",
  );
}
