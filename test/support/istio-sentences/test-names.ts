/** A test as it is written: that of a table has places for values in its name, and the table's text. */
export interface WrittenTest {
  readonly name: string;
  readonly table: string;
}

/** The tests of a file, by their full names. */
export function testsOf(text: string): WrittenTest[] {
  const lines = text.split("\n");
  const open: { indent: number; call: Call }[] = [];
  const tests: WrittenTest[] = [];
  for (const [at, line] of lines.entries()) {
    const indent = line.length - line.trimStart().length;
    if (/^\s*\}/.test(line)) while (open.length > 0 && open.at(-1)!.indent >= indent) open.pop();
    const [, kind] = /^\s*(?:await )?(describe|test|it)\b[.(<]/.exec(line) ?? [];
    const call = kind === undefined ? null : readCall(lines, at, indent);
    if (call === null) continue;
    if (kind === "describe") open.push({ indent, call });
    else {
      const calls = [...open.map((each) => each.call), call];
      tests.push({ name: calls.map((each) => each.title).join(" › "), table: calls.map((c) => c.table).join("\n") });
    }
  }
  return tests;
}

interface Call {
  readonly title: string;
  readonly table: string;
}

/**
 * The call that begins at a line. Our formatter puts the end of an `each`'s table on the same line or on the first one that
 * is indented alike, so nothing in the table can be mistaken for it.
 */
function readCall(lines: readonly string[], at: number, indent: number): Call | null {
  const isEach = /^\s*\w+\.(?:each|for|skipIf|runIf)\b/.test(lines[at]!);
  let last = at;
  let call = isEach ? lines[at]!.lastIndexOf(")(") : lines[at]!.indexOf("(") - 1;
  if (isEach && call === -1) {
    const end = new RegExp(`^ {${indent}}[\\])}].*\\)\\(`);
    last = lines.findIndex((line, index) => index > at && end.test(line));
    if (last === -1) return null;
    call = lines[last]!.lastIndexOf(")(");
  }
  const rest = `${lines[last]!.slice(call + 1)}\n${lines[last + 1] ?? ""}`;
  const [, , title] = /^\(\s*(["'`])((?:\\.|(?!\1).)*)\1/.exec(rest) ?? [];
  if (title === undefined) return null;
  const table = isEach ? lines.slice(at, last + 1).join("\n") : "";
  return { title: title.replace(/\\(["'`\\])/g, "$1"), table: withConstants(table, lines.slice(0, at)) };
}

/** A table that has a name stands above its tests. */
function withConstants(table: string, above: readonly string[]): string {
  const names = new Set(table.match(/\b[A-Za-z_]\w*\b/g));
  const found = [...names].map((name) => {
    const start = above.findLastIndex((line) => new RegExp(`^\\s*const ${name}\\b`).test(line));
    if (start === -1) return "";
    const indent = above[start]!.length - above[start]!.trimStart().length;
    const end = above.findIndex((line, index) => index > start && new RegExp(`^ {${indent}}[\\])}]`).test(line));
    return above.slice(start, /[;]$/.test(above[start]!) ? start + 1 : end + 1).join("\n");
  });
  return [table, ...found].join("\n");
}

const PLACE = /%[sdifjop#]|\$[A-Za-z_][\w.]*|\$\{[^}]*\}/g;

/**
 * Whether a test has that name. Of a test over a table the name is the one that the run prints, whose values stand in the
 * table as texts, or the name as it is written, where all of its cases are meant.
 */
export function isCalled({ name, table }: WrittenTest, wanted: string): boolean {
  if (name === wanted) return true;
  if (name.replace(PLACE, "") === name) return false;
  const pattern = name
    .split(PLACE)
    .map((part) => part.replaceAll("%%", "%").replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
    .join("(.+)");
  const values = new RegExp(`^${pattern}$`).exec(wanted)?.slice(1);
  return values?.every((value) => isWritten(value, table)) ?? false;
}

function isWritten(value: string, table: string): boolean {
  if (value.search(PLACE) !== -1) return true;
  const escaped = value.replaceAll("\\", "\\\\");
  return ['"', "'", "`"].some((quote) => table.includes(quote + escaped + quote));
}
