import type { PolicyText } from "../../config/revision-file.ts";

export interface RulePlace {
  readonly file: string;
  /** The rule's first line. */
  readonly line: number;
  /** Lines that the story is about. */
  readonly marked: readonly number[];
}

export interface ExcerptLine {
  readonly number: number;
  readonly text: string;
  readonly isMarked: boolean;
}

const EXCERPT_LINES_MAX = 14;
const CONTEXT_LINES = 2;

/** A rule as it stands in its file, from its first line to the last that matters; empty when the file is not there. */
export function excerptOf({ file, line, marked }: RulePlace, files: readonly PolicyText[]): readonly ExcerptLine[] {
  const lines = files.find((each) => each.path === file)?.text.split(/\r?\n/) ?? [];
  const last = Math.min(lines.length, Math.max(line, ...marked));
  const first = last - line < EXCERPT_LINES_MAX ? line : Math.max(line, Math.min(...marked) - CONTEXT_LINES);
  return lines.slice(first - 1, Math.min(last, first + EXCERPT_LINES_MAX - 1)).map((text, index) => {
    const number = first + index;
    return { number, text, isMarked: marked.includes(number) };
  });
}
