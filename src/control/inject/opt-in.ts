import { expected } from "./annotation-values.ts";
import { type NamespaceFacts, Refused } from "./injection.ts";
import { INJECT_LABEL, REVISION_LABEL } from "./names.ts";

export type OptIn =
  | {
      readonly wanted: true;
      /** By a word of ours; else it was Istio's or Linkerd's word, which may be meant for them. */
      readonly isOurs: boolean;
    }
  | { readonly wanted: false; readonly why: string };

/** Labels and annotations of one object: people and meshes write the word as either. */
export interface Words {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface OptInOptions {
  /** Namespaces whose pods are left alone whatever they say. */
  readonly excludedNamespaces: readonly string[];
  /** What holds where nobody says anything: true for files, since whoever names them asks for it. */
  readonly whenUnsaid: boolean;
}

/**
 * Whether a pod is to be injected: the pod's own word, else its namespace's; our word before Istio's and Linkerd's.
 * Throws Refused where a word cannot be read, or where two of the others' words contradict each other.
 */
export function decideOptIn(pod: Words, namespace: NamespaceFacts, options: OptInOptions): OptIn {
  if (options.excludedNamespaces.includes(namespace.name)) {
    return { wanted: false, why: `the namespace ${namespace.name} is never injected` };
  }
  const said = readWords(pod, "the pod") ?? readWords(namespace, `the namespace ${namespace.name}`);
  if (said !== null) return said;
  if (options.whenUnsaid) return { wanted: true, isOurs: true };
  return { wanted: false, why: `neither the pod nor the namespace ${namespace.name} has the label ${INJECT_LABEL}` };
}

/** A label or annotation, and what it may say. */
export interface Word {
  readonly key: string;
  readonly yes: readonly string[];
  readonly no: readonly string[];
}

export const OUR_WORD: Word = { key: INJECT_LABEL, yes: ["enabled", "true"], no: ["disabled", "false"] };

export const FOREIGN_WORDS: readonly Word[] = [
  { key: "sidecar.istio.io/inject", yes: ["true", "enabled"], no: ["false", "disabled"] },
  { key: "istio-injection", yes: ["enabled"], no: ["disabled"] },
  { key: "linkerd.io/inject", yes: ["enabled"], no: ["disabled"] },
];

/** Istio's label for a revision asks for injection by naming one. */
export const ISTIO_REVISION = "istio.io/rev";

function readWords(words: Words, whose: string): OptIn | null {
  const ours = readWord(OUR_WORD, words, whose);
  if (ours !== null) return { ...ours, ...(ours.wanted ? { isOurs: true } : {}) };
  if (Object.hasOwn(words.labels, REVISION_LABEL)) return { wanted: true, isOurs: true };
  const said = FOREIGN_WORDS.map((word) => ({ key: word.key, answer: readWord(word, words, whose) }));
  const heard = said.flatMap(({ key, answer }) => (answer === null ? [] : [{ key, answer }]));
  const [first] = heard;
  const other = heard.find(({ answer }) => answer.wanted !== first?.answer.wanted);
  if (first !== undefined && other !== undefined) {
    throw new Refused(
      `${whose} says ${first.answer.wanted ? "yes" : "no"} by ${first.key} and ${other.answer.wanted ? "yes" : "no"} by ${other.key}`,
      `say it by the label ${INJECT_LABEL}: enabled or disabled`,
    );
  }
  if (first !== undefined) return first.answer;
  return Object.hasOwn(words.labels, ISTIO_REVISION) ? { wanted: true, isOurs: false } : null;
}

/** A label counts before an annotation of the same name. */
function readWord({ key, yes, no }: Word, { labels, annotations }: Words, whose: string): OptIn | null {
  const text = Object.hasOwn(labels, key)
    ? labels[key]
    : Object.hasOwn(annotations, key)
      ? annotations[key]
      : undefined;
  if (text === undefined) return null;
  if (yes.includes(text)) return { wanted: true, isOurs: false };
  if (no.includes(text)) return { wanted: false, why: `${whose} opts out by ${key}` };
  throw new Refused(`${whose}: ${key}: ${expected([yes[0]!, no[0]!], text)}`, `say ${yes[0]} or ${no[0]}`);
}
