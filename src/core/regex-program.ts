import { LIMITS } from "./limits.ts";
import type { Range, RegexNode } from "./regex-syntax.ts";

/** One step of a Thompson automaton; numbers are positions of further steps. */
export type RegexStep =
  | { readonly op: "set"; readonly ranges: readonly Range[]; readonly next: number }
  | { readonly op: "split"; readonly next: readonly number[] }
  | { readonly op: "begin" | "end"; readonly next: number }
  | { readonly op: "match" };

export interface RegexProgram {
  readonly steps: readonly RegexStep[];
  readonly start: number;
}

/** Throws an Error when counted repetitions make it too large. */
export function writeRegexProgram(node: RegexNode): RegexProgram {
  const size = sizeOf(node);
  if (size > LIMITS.regexStepsMax)
    throw new Error(`the regular expression has ${size} steps; ${LIMITS.regexStepsMax} are the most that is taken`);
  const steps: RegexStep[] = [{ op: "match" }];
  return { start: write(node, 0, steps), steps };
}

function sizeOf(node: RegexNode): number {
  switch (node.kind) {
    case "set":
    case "begin":
    case "end":
      return 1;
    case "sequence":
      return node.parts.reduce((sum, part) => sum + sizeOf(part), 0);
    case "choice":
      return node.options.reduce((sum, option) => sum + sizeOf(option), 1);
    case "repeat": {
      const each = sizeOf(node.node);
      return node.min * each + (node.max === Infinity ? 1 : node.max - node.min) * (each + 1);
    }
  }
}

/** Writes from the end backwards, so that what follows is known; gives the position where the node begins. */
function write(node: RegexNode, next: number, steps: RegexStep[]): number {
  switch (node.kind) {
    case "set":
      return steps.push({ op: "set", ranges: node.ranges, next }) - 1;
    case "begin":
    case "end":
      return steps.push({ op: node.kind, next }) - 1;
    case "sequence":
      return node.parts.reduceRight((after, part) => write(part, after, steps), next);
    case "choice": {
      const options = node.options.map((option) => write(option, next, steps));
      return steps.push({ op: "split", next: options }) - 1;
    }
    case "repeat":
      return writeRepeat(node, next, steps);
  }
}

function writeRepeat(
  { node, min, max }: Extract<RegexNode, { kind: "repeat" }>,
  next: number,
  steps: RegexStep[],
): number {
  let at = next;
  if (max === Infinity) {
    const loop = steps.push({ op: "split", next: [] }) - 1;
    steps[loop] = { op: "split", next: [write(node, loop, steps), next] };
    at = loop;
  } else {
    for (let optional = min; optional < max; optional++)
      at = steps.push({ op: "split", next: [write(node, at, steps), next] }) - 1;
  }
  for (let needed = 0; needed < min; needed++) at = write(node, at, steps);
  return at;
}
