/**
 * TypeScript source with everything that is not code blanked out by spaces: comments, the insides of strings and
 * templates, regular expressions. Positions stay the same. `keepStrings` leaves quoted strings as they are.
 */
export function codeOf(source: string, options: { readonly keepStrings?: boolean } = {}): string {
  let code = "";
  let at = 0;
  while (at < source.length) {
    const token = tokenAt(source, at, code);
    const text = source.slice(at, token.end);
    const isKept = token.kind === "code" || (token.kind === "string" && options.keepStrings === true);
    if (isKept) code += text;
    else code += token.kind === "template" ? codeOfTemplate(text, options) : blank(text);
    at = token.end;
  }
  return code;
}

/** The number of the line, counted from 1, that holds the offset. */
export function lineAt(source: string, offset: number): number {
  return source.slice(0, offset).split("\n").length;
}

interface Token {
  readonly kind: "code" | "comment" | "string" | "template" | "regex";
  readonly end: number;
}

function tokenAt(source: string, at: number, before: string): Token {
  const two = source.slice(at, at + 2);
  if (two === "//") return { kind: "comment", end: indexOrEnd(source, "\n", at) };
  if (two === "/*") return { kind: "comment", end: indexOrEnd(source, "*/", at + 2) + 2 };
  const first = source[at];
  if (first === '"' || first === "'") return { kind: "string", end: endOfQuoted(source, at, first) };
  if (first === "`") return { kind: "template", end: endOfTemplate(source, at) };
  if (first === "/" && isRegexPlace(before)) return { kind: "regex", end: endOfRegex(source, at) };
  return { kind: "code", end: at + 1 };
}

function indexOrEnd(source: string, wanted: string, from: number): number {
  const index = source.indexOf(wanted, from);
  return index < 0 ? source.length : index;
}

function endOfQuoted(source: string, at: number, quote: string): number {
  let index = at + 1;
  while (index < source.length && source[index] !== quote) index += source[index] === "\\" ? 2 : 1;
  return index + 1;
}

function endOfTemplate(source: string, at: number): number {
  let index = at + 1;
  while (index < source.length && source[index] !== "`") {
    if (source.startsWith("${", index)) index = endOfPlaceholder(source, index + 2);
    else index += source[index] === "\\" ? 2 : 1;
  }
  return index + 1;
}

/** The offset after the brace that closes a template's `${`, whose code begins at `at`. */
function endOfPlaceholder(source: string, at: number): number {
  let depth = 1;
  let index = at;
  while (index < source.length && depth > 0) {
    const token = tokenAt(source, index, source.slice(at, index));
    if (token.kind === "code" && source[index] === "{") depth += 1;
    if (token.kind === "code" && source[index] === "}") depth -= 1;
    index = token.end;
  }
  return index;
}

function codeOfTemplate(template: string, options: { readonly keepStrings?: boolean }): string {
  let code = "";
  let at = 0;
  while (at < template.length) {
    if (template.startsWith("${", at)) {
      const end = endOfPlaceholder(template, at + 2);
      code += `  ${codeOf(template.slice(at + 2, end - 1), options)} `;
      at = end;
    } else {
      const length = template[at] === "\\" ? 2 : 1;
      code += blank(template.slice(at, at + length));
      at += length;
    }
  }
  return code;
}

/** Whether a slash here begins a regular expression rather than divides: judged by what stands before it. */
function isRegexPlace(before: string): boolean {
  const trimmed = before.trimEnd();
  return trimmed === "" || /[(,=:[!&|?{};+\-*%<>~^]$/.test(trimmed) || /\b(?:return|case|typeof|of|in)$/.test(trimmed);
}

function endOfRegex(source: string, at: number): number {
  let isInClass = false;
  for (let index = at + 1; index < source.length; index++) {
    const character = source[index];
    if (character === "\\") index += 1;
    else if (character === "\n") return index;
    else if (character === "[") isInClass = true;
    else if (character === "]") isInClass = false;
    else if (character === "/" && !isInClass) return index + 1;
  }
  return source.length;
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, " ");
}
