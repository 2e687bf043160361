import type { JsonValue } from "./json-value.ts";

/**
 * JSON in which no object has a key twice: readers differ in which of the two they believe (RFC 8259 section 4), and
 * what one has checked another would take for something else. Throws an Error that says what is wrong.
 */
export function parseStrictJson(text: string, depthMax = 64): JsonValue {
  const value: JsonValue = JSON.parse(text);
  assertNoDuplicates(text, depthMax);
  return value;
}

/** Goes once over a text that is known to be JSON, so it need not look at anything but strings and brackets. */
function assertNoDuplicates(text: string, depthMax: number): void {
  /** The keys of each object that is open; null for a list. */
  const open: (Set<string> | null)[] = [];
  let isKeyNext = false;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at]!;
    if (letter === "{" || letter === "[") {
      open.push(letter === "{" ? new Set() : null);
      if (open.length > depthMax) throw new Error(`is nested deeper than ${depthMax}`);
      isKeyNext = letter === "{";
    } else if (letter === "}" || letter === "]") {
      open.pop();
      isKeyNext = false;
    } else if (letter === ",") isKeyNext = open.at(-1) !== null;
    else if (letter === '"') {
      const end = endOfString(text, at);
      if (isKeyNext) addKey(open.at(-1), text.slice(at, end + 1));
      isKeyNext = false;
      at = end;
    }
  }
}

function addKey(keys: Set<string> | null | undefined, quoted: string): void {
  // Two spellings of a key are the same key.
  const key = quoted.includes("\\") ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
  if (keys?.has(key) === true) throw new Error(`has the key ${JSON.stringify(key.slice(0, 60))} twice`);
  keys?.add(key);
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}
