import { LIMITS } from "./limits.ts";
import { type RegexProgram, type RegexStep, writeRegexProgram } from "./regex-program.ts";
import { parseRegex } from "./regex-syntax.ts";

/** A regular expression that needs time in proportion to the text, whatever pattern and text are. */
export interface LinearRegex {
  readonly pattern: string;
  /** Whether the whole text matches, as Envoy matches. */
  test(text: string): boolean;
}

/** Errors: an Error that says what of the pattern is not taken. */
export function compileRegex(pattern: string): LinearRegex {
  if (pattern.length > LIMITS.regexLengthMax)
    throw new Error(`the regular expression is longer than ${LIMITS.regexLengthMax} characters`);
  const automaton = new Automaton(writeRegexProgram(parseRegex(pattern)));
  return { pattern, test: (text) => automaton.accepts(text) };
}

/** The steps at which the automaton is at once; where each code unit leads is kept once it is known. */
interface State {
  readonly steps: readonly number[];
  readonly byUnit: (State | undefined)[];
  readonly acceptsAtEnd: boolean;
}

/** Code units beyond are looked up each time: HTTP has none. */
const UNITS_KEPT = 256;

/** A lazily determinised automaton: most texts take one look per code unit. */
class Automaton {
  readonly #program: RegexProgram;
  readonly #states = new Map<string, State>();
  readonly #start: State;

  constructor(program: RegexProgram) {
    this.#program = program;
    this.#start = this.#stateAt([program.start], true);
  }

  accepts(text: string): boolean {
    let state = this.#start;
    for (let i = 0; i < text.length && state.steps.length > 0; i++) {
      const unit = text.charCodeAt(i);
      state = (unit < UNITS_KEPT ? state.byUnit[unit] : undefined) ?? this.#advance(state, unit);
    }
    // A state without steps is the end of all hope, and accepts nothing.
    return state.acceptsAtEnd;
  }

  #advance(state: State, unit: number): State {
    const reached = state.steps.flatMap((at) => {
      const step = this.#program.steps[at]!;
      return step.op === "set" && contains(step, unit) ? [step.next] : [];
    });
    const next = this.#stateAt(reached, false);
    if (unit < UNITS_KEPT) state.byUnit[unit] = next;
    return next;
  }

  #stateAt(from: readonly number[], isAtBegin: boolean): State {
    const steps = [...this.#closure(from, { isAtBegin, isAtEnd: false })].toSorted((left, right) => left - right);
    const key = `${isAtBegin}:${steps.join()}`;
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const atEnd = this.#closure(from, { isAtBegin, isAtEnd: true });
    const state = { steps, byUnit: [], acceptsAtEnd: [...atEnd].some((at) => this.#program.steps[at]!.op === "match") };
    // A pattern may have exponentially many states; those that go on being used come back.
    if (this.#states.size >= LIMITS.regexStatesMax) this.#forget();
    this.#states.set(key, state);
    return state;
  }

  #forget(): void {
    for (const state of this.#states.values()) state.byUnit.length = 0;
    this.#states.clear();
  }

  /** All steps that are reached without taking a code unit. */
  #closure(from: readonly number[], at: { readonly isAtBegin: boolean; readonly isAtEnd: boolean }): Set<number> {
    const reached = new Set<number>();
    const open = [...from];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (reached.has(next)) continue;
      reached.add(next);
      const step = this.#program.steps[next]!;
      if (step.op === "split") open.push(...step.next);
      else if ((step.op === "begin" && at.isAtBegin) || (step.op === "end" && at.isAtEnd)) open.push(step.next);
    }
    return reached;
  }
}

function contains({ ranges }: Extract<RegexStep, { op: "set" }>, unit: number): boolean {
  return ranges.some(([first, last]) => first <= unit && unit <= last);
}
