/** Whether labels of the form `k8s:app=payments` are those that a selector takes. */
export type TakesLabels = (labels: readonly string[]) => boolean;

type Requirement = (labels: readonly Label[]) => boolean;

interface Label {
  /** k8s, reserved, …: what stands before the first colon. */
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

/**
 * A Kubernetes label selector (`app=payments,tier in (web, api),!canary`) as Hubble reads it: a key may name the label's
 * source (`k8s:app`), and means any source without. A requirement that something is not so holds, too, where the label is
 * not there. Throws an Error that says what is not taken.
 */
export function parseLabelSelector(text: string): TakesLabels {
  // An empty one takes everything.
  const parts = text.trim() === "" ? [] : splitOutsideOfParentheses(text);
  const requirements = parts.map((part) => parseRequirement(part.trim(), text));
  return (labels) => {
    const parsed = labels.map(parseLabel);
    return requirements.every((holds) => holds(parsed));
  };
}

const KEY = "[A-Za-z0-9](?:[\\w.:/-]*[\\w])?";
const VALUE = "[\\w.-]*";
const ABSENT = new RegExp(`^!\\s*(${KEY})$`);
const PRESENT = new RegExp(`^(${KEY})$`);
const EQUAL = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*(${VALUE})$`);
const AMONG = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const ORDERED = new RegExp(`^(${KEY})\\s*([<>])\\s*(-?\\d{1,15})$`);

function parseRequirement(part: string, text: string): Requirement {
  const absent = ABSENT.exec(part);
  if (absent !== null) return (labels) => !labels.some(named(absent[1]!));
  const present = PRESENT.exec(part);
  if (present !== null) return (labels) => labels.some(named(present[1]!));
  const equal = EQUAL.exec(part);
  if (equal !== null) return among(equal[1]!, [equal[3]!], equal[2] !== "!=");
  const set = AMONG.exec(part);
  if (set !== null) return among(set[1]!, parseValues(set[3]!, text), set[2] === "in");
  const ordered = ORDERED.exec(part);
  if (ordered !== null) return compared(ordered[1]!, Number(ordered[3]!), ordered[2] === ">");
  throw refused(text, `${JSON.stringify(part)} is no requirement`);
}

function parseValues(list: string, text: string): readonly string[] {
  const values = list.split(",").map((value) => value.trim());
  const bad = values.find((value) => !new RegExp(`^${VALUE}$`).test(value));
  if (bad !== undefined) throw refused(text, `${JSON.stringify(bad)} is no value of a label`);
  return values;
}

function among(key: string, values: readonly string[], isWanted: boolean): Requirement {
  const isIt = named(key);
  return (labels) => labels.some((label) => isIt(label) && values.includes(label.value)) === isWanted;
}

function compared(key: string, bound: number, isGreater: boolean): Requirement {
  const isIt = named(key);
  return (labels) =>
    labels.some((label) => {
      if (!isIt(label) || !/^-?\d{1,15}$/.test(label.value)) return false;
      return isGreater ? Number(label.value) > bound : Number(label.value) < bound;
    });
}

function named(text: string): (label: Label) => boolean {
  const colon = text.indexOf(":");
  const source = colon < 0 ? "any" : text.slice(0, colon);
  const key = text.slice(colon + 1);
  return (label) => label.key === key && (source === "any" || label.source === source);
}

function parseLabel(text: string): Label {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  const colon = name.indexOf(":");
  return {
    source: colon < 0 ? "unspec" : name.slice(0, colon),
    key: name.slice(colon + 1),
    value: equals < 0 ? "" : text.slice(equals + 1),
  };
}

function splitOutsideOfParentheses(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "(") depth += 1;
    else if (text[i] === ")") depth -= 1;
    else if (text[i] === "," && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function refused(text: string, why: string): Error {
  return new Error(`the label selector ${JSON.stringify(text)}: ${why}`);
}
