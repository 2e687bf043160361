/** The characters that a wildcard takes. `literal` is a URI's, as Envoy's path templates have it (path-template.ts). */
export type Letters = "any" | "segment" | "literal" | "literal-or-slash";

/** A pattern's pieces, one after the other: a text, or `min` and more characters of a kind. */
export type Piece =
  | { readonly is: "text"; readonly text: string; readonly anyCase: boolean }
  | { readonly is: "many"; readonly of: Letters; readonly min: 0 | 1 };

export type Pattern = readonly Piece[];

/** Which texts can occur at all, as a deterministic automaton. */
export interface Universe {
  readonly start: string;
  /** The state after one more character, or null where no text goes on like that. */
  step(state: string, letter: string): string | null;
  accepts(state: string): boolean;
  /** Characters that lead elsewhere from a state than the plain ones, or nowhere. */
  letters(state: string): string;
  /** Characters of which any is as good as another; the first ones make the most readable examples. */
  readonly plain: string;
}

export const text = (of: string): Piece => ({ is: "text", text: of, anyCase: false });
/** A text in lower case, for texts that are compared without it. */
export const textInAnyCase = (of: string): Piece => ({ is: "text", text: of, anyCase: true });
export const some = (of: Letters): Piece => ({ is: "many", of, min: 1 });
export const any = (of: Letters): Piece => ({ is: "many", of, min: 0 });

/** Steps that may still be taken; below 0 they are spent. Explorations can share one. */
export interface Budget {
  left: number;
}

/** Texts that match one of the patterns. */
export type Language = readonly Pattern[];

/**
 * For every set of languages that some text of the universe is in, and in no others with it, the first such text of the
 * shortest length: with them, all that the languages can tell apart has been seen. Null: the budget was spent before
 * they were found. Patterns are regular, so this is the subset construction, walked breadth first.
 */
export function examplesOf(
  languages: readonly Language[],
  universe: Universe,
  budget: Budget,
): readonly string[] | null {
  const places = placesOf(languages);
  const first: State = { text: "", in: universe.start, at: closed(places.starts, places) };
  const seen = new Set([keyOf(first)]);
  const found = new Map<string, string>();
  // Grows while it is walked: a queue.
  const states = [first];
  for (const state of states) {
    if (universe.accepts(state.in)) {
      const ends = state.at.filter((place) => places.kinds[place]!.is === "end");
      const matched = [...new Set(ends.map((place) => places.languageOf[place]!))].join(",");
      if (!found.has(matched)) found.set(matched, state.text);
    }
    for (const letter of lettersAt(state, places, universe)) {
      budget.left -= 1 + state.at.length;
      if (budget.left < 0) return null;
      const next = stepOf(state, letter, places, universe);
      if (next === null) continue;
      const key = keyOf(next);
      if (seen.has(key)) continue;
      seen.add(key);
      states.push(next);
    }
  }
  return [...found.values()];
}

interface State {
  /** The shortest text that leads here. */
  readonly text: string;
  readonly in: string;
  /** Places in the patterns, in order, that the text may have come to. */
  readonly at: readonly number[];
}

/** One before each piece's character of each pattern, and one at its end. */
interface Places {
  readonly starts: readonly number[];
  readonly kinds: readonly Place[];
  /** Which language a place's pattern belongs to, by its index. */
  readonly languageOf: readonly number[];
  /** A place and all behind it that no character is needed for: a loop may be left at any time. */
  readonly closureOf: readonly (readonly number[])[];
  /** Places from which every text is in the language: a loop over anything before the end. */
  readonly isWon: readonly boolean[];
}

type Place =
  | { readonly is: "letter"; readonly letter: string; readonly anyCase: boolean }
  | { readonly is: "one"; readonly of: Letters }
  | { readonly is: "loop"; readonly of: Letters }
  | { readonly is: "end" };

function placesOf(languages: readonly Language[]): Places {
  const kinds: Place[] = [];
  const starts: number[] = [];
  const languageOf: number[] = [];
  for (const [language, patterns] of languages.entries()) {
    for (const pattern of patterns) {
      starts.push(kinds.length);
      for (const piece of pattern) kinds.push(...placesIn(piece));
      kinds.push({ is: "end" });
    }
    while (languageOf.length < kinds.length) languageOf.push(language);
  }
  const closureOf = kinds.map((_, place) => {
    let last = place;
    while (kinds[last]!.is === "loop") last += 1;
    return Array.from({ length: last - place + 1 }, (__, i) => place + i);
  });
  const isWon = kinds.map((kind, place) => kind.is === "loop" && kind.of === "any" && kinds[place + 1]!.is === "end");
  return { starts, kinds, languageOf, closureOf, isWon };
}

function placesIn(piece: Piece): readonly Place[] {
  if (piece.is === "text") {
    const { anyCase } = piece;
    return Array.from(piece.text, (letter) => ({ is: "letter", letter, anyCase }));
  }
  const loop: Place = { is: "loop", of: piece.of };
  return piece.min === 1 ? [{ is: "one", of: piece.of }, loop] : [loop];
}

const LITERAL = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]$/;

function isOf(kind: Letters, letter: string): boolean {
  switch (kind) {
    case "any":
      return true;
    case "segment":
      return letter !== "/";
    case "literal":
      return LITERAL.test(letter);
    case "literal-or-slash":
      return letter === "/" || LITERAL.test(letter);
  }
}

/** The places in order, each once, and nothing more of a language that is won whatever follows. */
function closed(at: readonly number[], { languageOf, closureOf, isWon }: Places): readonly number[] {
  const all = [...new Set(at.flatMap((place) => closureOf[place]!))].toSorted((a, b) => a - b);
  const won = new Map<number, number>();
  for (const place of all)
    if (isWon[place] === true && !won.has(languageOf[place]!)) won.set(languageOf[place]!, place);
  if (won.size === 0) return all;
  return all.filter((place) => {
    const first = won.get(languageOf[place]!);
    return first === undefined || place === first || place === first + 1;
  });
}

function stepOf(state: State, letter: string, places: Places, universe: Universe): State | null {
  const within = universe.step(state.in, letter);
  if (within === null) return null;
  const at: number[] = [];
  for (const place of state.at) {
    const kind = places.kinds[place]!;
    if (kind.is === "loop" && isOf(kind.of, letter)) at.push(place);
    if (kind.is === "one" && isOf(kind.of, letter)) at.push(place + 1);
    if (kind.is === "letter" && kind.letter === (kind.anyCase ? letter.toLowerCase() : letter)) at.push(place + 1);
  }
  return { text: state.text + letter, in: within, at: closed(at, places) };
}

/** The characters that lead to different states from here: those that are named, and one of each kind of the others. */
function lettersAt(state: State, { kinds }: Places, universe: Universe): readonly string[] {
  const named = new Set<string>();
  for (const place of state.at) {
    const kind = kinds[place]!;
    if (kind.is !== "letter") continue;
    named.add(kind.letter);
    if (kind.anyCase) named.add(kind.letter.toUpperCase());
  }
  const others = Array.from(universe.plain).filter((letter) => !named.has(letter));
  const oneOfEach = [others.find((letter) => LITERAL.test(letter)), others.find((letter) => !LITERAL.test(letter))];
  return [
    ...new Set([
      ...oneOfEach.filter((letter) => letter !== undefined),
      ...named,
      ...Array.from(universe.letters(state.in)),
    ]),
  ];
}

function keyOf(state: State): string {
  return `${state.in}|${state.at.join(",")}`;
}
