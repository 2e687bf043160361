/** Code units from `first` to `last`, both included. */
export type Range = readonly [first: number, last: number];

export type RegexNode =
  | { readonly kind: "set"; readonly ranges: readonly Range[] }
  | { readonly kind: "sequence"; readonly parts: readonly RegexNode[] }
  | { readonly kind: "choice"; readonly options: readonly RegexNode[] }
  | { readonly kind: "repeat"; readonly node: RegexNode; readonly min: number; readonly max: number }
  | { readonly kind: "begin" | "end" };

/** RE2's own bound of a counted repetition. */
const REPEAT_MAX = 1_000;
const DEPTH_MAX = 50;
const UNIT_MAX = 0xff_ff;

/**
 * RE2's syntax, as far as it can be matched in linear time and means the same everywhere: literals, `.`, classes,
 * groups, `|`, `* + ? {n,m}` (lazy ones as well), `^`, `$`, `\d \w \s` and kin, and `(?i)` at the very start. Throws an
 * Error that names what is not taken.
 */
export function parseRegex(pattern: string): RegexNode {
  const ignoresCase = pattern.startsWith("(?i)");
  return new Parser(pattern, ignoresCase ? 4 : 0, ignoresCase).parse();
}

class Parser {
  readonly #pattern: string;
  readonly #ignoresCase: boolean;
  #at: number;
  #depth = 0;

  constructor(pattern: string, at: number, ignoresCase: boolean) {
    this.#pattern = pattern;
    this.#at = at;
    this.#ignoresCase = ignoresCase;
  }

  parse(): RegexNode {
    const node = this.#choice();
    if (this.#at < this.#pattern.length) throw this.#refusal("has a ) without a (");
    return node;
  }

  #choice(): RegexNode {
    const options = [this.#sequence()];
    while (this.#take("|")) options.push(this.#sequence());
    return options.length === 1 ? options[0]! : { kind: "choice", options };
  }

  #sequence(): RegexNode {
    const parts: RegexNode[] = [];
    for (let next = this.#peek(); next !== "" && next !== "|" && next !== ")"; next = this.#peek())
      parts.push(this.#repeated());
    return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  #repeated(): RegexNode {
    const node = this.#atom();
    const counts = this.#counts();
    if (counts === null) return node;
    // Lazy or not is all the same to whether the whole text matches.
    this.#take("?");
    if (this.#counts() !== null) throw this.#refusal("repeats a repetition");
    return { kind: "repeat", node, ...counts };
  }

  #counts(): { readonly min: number; readonly max: number } | null {
    if (this.#take("*")) return { min: 0, max: Infinity };
    if (this.#take("+")) return { min: 1, max: Infinity };
    if (this.#take("?")) return { min: 0, max: 1 };
    const counted = /^\{(\d+)(,(\d*))?\}/.exec(this.#pattern.slice(this.#at, this.#at + 16));
    if (counted === null) return null;
    this.#at += counted[0].length;
    const min = Number(counted[1]);
    const max = counted[2] === undefined ? min : counted[3] === "" ? Infinity : Number(counted[3]);
    if (min > REPEAT_MAX || (max > REPEAT_MAX && max !== Infinity) || max < min)
      throw this.#refusal(`has the repetition ${counted[0]}: at most ${REPEAT_MAX}, and upwards`);
    return { min, max };
  }

  #atom(): RegexNode {
    if (this.#take("(")) return this.#group();
    if (this.#take("[")) return this.#set(this.#class());
    if (this.#take(".")) return { kind: "set", ranges: negated([[10, 10]]) };
    if (this.#take("^")) return { kind: "begin" };
    if (this.#take("$")) return { kind: "end" };
    if (this.#take("\\")) return this.#set(this.#escape());
    if ("*+?".includes(this.#peek())) throw this.#refusal(`repeats nothing with ${this.#peek()}`);
    return this.#set([single(this.#next())]);
  }

  #group(): RegexNode {
    const opening = /^\?(:|P?<[A-Za-z_]\w*>)/.exec(this.#pattern.slice(this.#at, this.#at + 64));
    if (opening !== null) this.#at += opening[0].length;
    else if (this.#peek() === "?")
      throw this.#refusal("uses (?…): only (?:…), (?P<name>…), and (?i) at the start are taken");
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw this.#refusal(`nests deeper than ${DEPTH_MAX}`);
    const node = this.#choice();
    this.#depth -= 1;
    if (!this.#take(")")) throw this.#refusal("has a ( without a )");
    return node;
  }

  #class(): readonly Range[] {
    const isNegated = this.#take("^");
    const ranges: Range[] = [];
    while (ranges.length === 0 || this.#peek() !== "]") {
      if (this.#peek() === "") throw this.#refusal("has a [ without a ]");
      if (this.#pattern.startsWith("[:", this.#at)) throw this.#refusal("uses a named class like [:alpha:]");
      ranges.push(...this.#classItem());
    }
    this.#next();
    // Of both cases before the negation: [^a] takes neither a nor A.
    return isNegated ? negated(this.#ignoresCase ? withBothCases(ranges) : ranges) : ranges;
  }

  #classItem(): readonly Range[] {
    const first = this.#classUnit();
    const isRange = this.#peek() === "-" && !["]", ""].includes(this.#pattern[this.#at + 1] ?? "");
    if (!isRange || first.length !== 1 || first[0]![0] !== first[0]![1]) return first;
    this.#next();
    const [last, ...others] = this.#classUnit();
    if (last === undefined || others.length > 0 || last[0] !== last[1] || last[0] < first[0]![0])
      throw this.#refusal("has a range in a class that goes backwards or to no single character");
    return [[first[0]![0], last[0]]];
  }

  #classUnit(): readonly Range[] {
    return this.#take("\\") ? this.#escape() : [single(this.#next())];
  }

  #escape(): readonly Range[] {
    const letter = this.#next();
    const named = ESCAPES[letter];
    if (named !== undefined) return named;
    if (letter === "x") return [this.#hexadecimal()];
    // Every other letter or digit is an assertion, a back-reference, or a class of Unicode.
    if (letter === "" || /[A-Za-z0-9]/.test(letter)) throw this.#refusal(`uses \\${letter}`);
    return [single(letter)];
  }

  #hexadecimal(): Range {
    const digits = /^(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,4})\})/.exec(this.#pattern.slice(this.#at, this.#at + 6));
    if (digits === null) throw this.#refusal("has a \\x without two hexadecimal digits");
    this.#at += digits[0].length;
    const unit = Number.parseInt(digits[1] ?? digits[2]!, 16);
    return [unit, unit];
  }

  #set(ranges: readonly Range[]): RegexNode {
    return { kind: "set", ranges: this.#ignoresCase ? withBothCases(ranges) : ranges };
  }

  #peek(): string {
    return this.#pattern[this.#at] ?? "";
  }

  #next(): string {
    const unit = this.#peek();
    this.#at += unit.length;
    return unit;
  }

  #take(expected: string): boolean {
    if (this.#peek() !== expected) return false;
    this.#at += 1;
    return true;
  }

  #refusal(what: string): Error {
    return new Error(
      `the regular expression ${JSON.stringify(this.#pattern.slice(0, 80))} ${what}, at ${this.#at + 1}`,
    );
  }
}

const DIGITS: readonly Range[] = [[48, 57]];
const WORDS: readonly Range[] = [
  [48, 57],
  [65, 90],
  [95, 95],
  [97, 122],
];
/** RE2's: without the vertical tab. */
const SPACES: readonly Range[] = [
  [9, 10],
  [12, 13],
  [32, 32],
];

const ESCAPES: Readonly<Record<string, readonly Range[]>> = {
  d: DIGITS,
  D: negated(DIGITS),
  w: WORDS,
  W: negated(WORDS),
  s: SPACES,
  S: negated(SPACES),
  t: [[9, 9]],
  n: [[10, 10]],
  v: [[11, 11]],
  f: [[12, 12]],
  r: [[13, 13]],
};

function single(unit: string): Range {
  const code = unit.charCodeAt(0);
  return [code, code];
}

function negated(ranges: readonly Range[]): readonly Range[] {
  const result: Range[] = [];
  let from = 0;
  for (const [first, last] of ranges.toSorted(([left], [right]) => left - right)) {
    if (first > from) result.push([from, first - 1]);
    from = Math.max(from, last + 1);
  }
  if (from <= UNIT_MAX) result.push([from, UNIT_MAX]);
  return result;
}

/** ASCII letters only: paths and header fields have no others. */
function withBothCases(ranges: readonly Range[]): readonly Range[] {
  return ranges.flatMap(([first, last]) => [
    [first, last] as const,
    ...overlap(first, last, 65, 90).map(([low, high]): Range => [low + 32, high + 32]),
    ...overlap(first, last, 97, 122).map(([low, high]): Range => [low - 32, high - 32]),
  ]);
}

function overlap(first: number, last: number, low: number, high: number): readonly Range[] {
  const from = Math.max(first, low);
  const to = Math.min(last, high);
  return from <= to ? [[from, to]] : [];
}
