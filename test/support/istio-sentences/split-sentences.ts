/** One sentence of a source: the heading or field that it stands under, and its words with single spaces. */
export interface Sentence {
  readonly place: string;
  readonly words: string;
}

/**
 * The sentences of Markdown as istio.io writes it. A row of a table is one sentence, an item of a list begins one; code,
 * images, front matter and the site's own tags are left out.
 */
export function splitMarkdown(text: string, start: string): Sentence[] {
  const sentences: Sentence[] = [];
  let place = start;
  let paragraph: string[] = [];
  const finish = (): void => {
    for (const words of splitParagraph(paragraph.join(" "))) sentences.push({ place, words });
    paragraph = [];
  };
  for (const line of withoutCode(text).split("\n")) {
    const heading = /^#{1,6} +(.+)$/.exec(line);
    const isRow = line.startsWith("|");
    if (heading !== null || isRow || line.trim() === "" || /^\s*(?:[-*]|\d+[.)])\s/.test(line)) finish();
    if (heading !== null) place = plain(heading[1]!);
    else paragraph.push(isRow ? rowOf(line) : line.replace(/^\s*(?:[-*]|\d+[.)])\s+/, ""));
    if (isRow) finish();
  }
  finish();
  return withoutTableHeads(sentences);
}

function withoutCode(text: string): string {
  return text
    .replace(/^---\n[^]*?\n---\n/, "")
    .replace(/^\s*\{\{< text [^]*?\{\{< \/text >\}\}/gm, "")
    .replace(/^\s*```[^]*?\n\s*```\s*$/gm, "")
    .replace(/<!--[^]*?-->/g, "")
    .replace(/\{\{<[^]*?>\}\}/g, "");
}

/** `| a | b |` → "a | b"; the line below a table's head → "---". */
function rowOf(line: string): string {
  const cells = line.split("|").slice(1, -1).map(plain);
  return cells.every((each) => /^:?-+:?$/.test(each)) ? "---" : cells.join(" | ");
}

function withoutTableHeads(sentences: readonly Sentence[]): Sentence[] {
  return sentences.filter((each, at) => each.words !== "---" && sentences[at + 1]?.words !== "---");
}

/** What ends in a full stop and is no sentence: an abbreviation, or the mark of a field that may be left out. */
const ABBREVIATED_OR_MARK = /(?:\b(?:e\.g|i\.e|etc|vs)\.\)?|^(?:Optional|REQUIRED|Note|DEPRECATED)\.)$/;

function splitParagraph(text: string): string[] {
  const words = plain(text);
  if (words.includes(" | ") || words === "---") return [words];
  const sentences: string[] = [];
  let from = 0;
  for (const { index, 0: gap } of words.matchAll(/(?<=[.!?][)"'`*]*) (?=[A-Z0-9`"'([*])/g)) {
    if (ABBREVIATED_OR_MARK.test(words.slice(from, index))) continue;
    sentences.push(words.slice(from, index));
    from = index + gap.length;
  }
  return [...sentences, words.slice(from)].filter((each) => /[A-Za-z]/.test(each));
}

/** Without links' addresses, with single spaces. */
function plain(text: string): string {
  return text
    .replace(/\[([^\]]*)\]\((?:[^()]|\([^)]*\))*\)/g, "$1")
    .replace(/\s+/g, " ")
    .replace(/\/\/$/, "")
    .trim();
}
