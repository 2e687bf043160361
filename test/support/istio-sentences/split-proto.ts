import { type Sentence, splitMarkdown } from "./split-sentences.ts";

/** The sentences of a .proto file's comments, under the message, field or value that they describe. */
export function splitProto(text: string): Sentence[] {
  const sentences: Sentence[] = [];
  const open: string[] = [];
  let comment: string[] = [];
  const flush = (place: string): void => {
    sentences.push(...splitMarkdown(comment.join("\n"), place).map(({ words }) => ({ place, words })));
    comment = [];
  };
  for (const line of withoutLicence(text).split("\n")) {
    const told = /^\s*\/\/ ?(.*)$/.exec(line);
    if (told !== null) {
      if (!isDirective(told[1]!)) comment.push(told[1]!);
      continue;
    }
    const [, kind, block] = /^\s*(message|enum|oneof) (\w+) \{/.exec(line) ?? [];
    const field = /^\s*(?:[\w.<>, ]+ )?(\w+) = \d+/.exec(line)?.[1];
    if (block !== undefined) {
      if (kind !== "oneof") flush([...open.filter(Boolean), block].join("."));
      open.push(kind === "oneof" ? "" : block);
    } else if (field !== undefined) flush([...open.filter(Boolean), field].join("."));
    else if (line.startsWith("package ")) flush("introduction");
    else if (line.trim() === "") comment.push("");
    if (/\}\s*$/.test(line)) {
      open.pop();
      comment = [];
    }
  }
  return sentences;
}

function withoutLicence(text: string): string {
  return text.slice(text.indexOf("syntax ="));
}

/** Orders to generators, not words to people. */
function isDirective(line: string): boolean {
  return /^\s*(?:\$\w+|\+[\w-]+[:=(-]|\+genclient|\+kubetype-gen)/.test(line);
}
