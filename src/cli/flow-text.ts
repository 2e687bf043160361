import { isAbsolute, relative } from "node:path";

/** Colours by what they say, not by how they look. */
export type Paint = "allowed" | "denied" | "would-deny" | "error" | "dim" | "bold";

/** SGR parameters, ECMA-48 section 8.3.117; the eight basic colours follow the reader's own theme. */
const SGR: Readonly<Record<Paint, string>> = {
  allowed: "32",
  denied: "1;31",
  "would-deny": "33",
  error: "35",
  dim: "2",
  bold: "1",
};

/** The text in a colour, or as it is. */
export function paint(text: string, how: Paint, colour: boolean): string {
  return colour && text !== "" ? `\u001b[${SGR[how]}m${text}\u001b[0m` : text;
}

/**
 * A text of unknown origin for a terminal: printable ASCII stays, everything else is written as `\xNN` or `\u{N}`.
 * So nothing in it moves the cursor, hides, reverses or widens what stands beside it, and its length is its width.
 */
export function visibleText(text: string): string {
  return text.replace(/[^ -~]/gu, (character) => {
    const code = character.codePointAt(0)!;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  });
}

/** A line of a file that people wrote: letters of any script stay, what acts on a terminal does not. */
export function visibleLine(text: string): string {
  return text.replaceAll("\t", "  ").replace(/[\p{C}\p{Zl}\p{Zp}]/gu, visibleText);
}

/** The text in exactly so many columns: cut with a mark, or filled up with spaces. */
export function fitTo(text: string, width: number): string {
  if (text.length <= width) return text.padEnd(width);
  return width < 1 ? "" : `${text.slice(0, width - 1)}…`;
}

/** Text broken at spaces into lines of at most so many columns; a longer word stands alone. */
export function wrapText(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}

/** A path as it is written from a directory, where that is shorter than the whole. */
export function showPath(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return visibleText(near === "" || near.startsWith("..") || isAbsolute(near) ? path : near);
}
