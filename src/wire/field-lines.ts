import { COLON, CR, FIELD_VALUE, HTAB, LF, SP, TOKEN } from "./octets.ts";

/** `more`: every octet given has been looked at and the section goes on. */
export type ScanStep = "more" | "done" | "refused";

/** The one fault of a section that is about size, so that a request is answered 431 instead of 400. */
export const TOO_MANY_FIELDS = "there are too many fields";

/** What the next octet belongs to. */
const LINE_START = 0;
const NAME = 1;
const BEFORE_VALUE = 2;
const VALUE = 3;
const VALUE_LF = 4;
const FINAL_LF = 5;

/**
 * Scans field lines up to the empty line that ends a head or a trailer section; each octet is looked at once, however
 * they arrive. Holds offsets only, so the caller must keep the octets at the same offsets between two scans.
 * Strict: CRLF alone, no folding, no space before the colon. RFC 9112 section 5.
 */
export class FieldLines {
  /** The next octet to look at; after "done", the first one behind the empty line. */
  at = 0;
  count = 0;
  /** Why the scan answered "refused". */
  fault = "";
  /** Four offsets a field: name start, name end, value start, value end. */
  readonly marks: number[] = [];
  readonly #countMax: number;
  #phase = LINE_START;
  #start = 0;
  #nameEnd = 0;
  #valueStart = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Ready for a section that begins at `start`. */
  reset(start: number): void {
    this.at = start;
    this.count = 0;
    this.fault = "";
    this.#phase = LINE_START;
  }

  /**
   * Looks at the octets from `this.at` to `end`. One long function over locals, since it runs for every octet of every
   * head: a method for each phase took twice the time (bench/micro/http1-head.ts).
   */
  scan(bytes: Uint8Array, end: number): ScanStep {
    let at = this.at;
    let phase = this.#phase;
    while (at < end) {
      if (phase === LINE_START) {
        if (bytes[at] === CR) {
          at++;
          phase = FINAL_LF;
        } else {
          const fault = this.#faultOfLineStart(bytes[at]!);
          if (fault !== null) return this.#refuse(fault);
          this.#start = at;
          phase = NAME;
        }
      }
      if (phase === NAME) {
        while (at < end && TOKEN[bytes[at]!] === 1) at++;
        if (at === end) break;
        if (bytes[at] !== COLON) return this.#refuse("a field name is not a token that a colon follows");
        if (at === this.#start) return this.#refuse("a field name is empty");
        this.#nameEnd = at++;
        phase = BEFORE_VALUE;
      }
      if (phase === BEFORE_VALUE) {
        while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
        if (at === end) break;
        this.#valueStart = at;
        phase = VALUE;
      }
      if (phase === VALUE) {
        while (at < end && FIELD_VALUE[bytes[at]!] === 1) at++;
        if (at === end) break;
        if (bytes[at] !== CR) return this.#refuse("a field value holds a control character or a bare LF");
        this.#addField(bytes, at++);
        phase = VALUE_LF;
      }
      if (at === end) break;
      if (bytes[at++] !== LF) return this.#refuse("a CR is not followed by LF");
      if (phase === FINAL_LF) {
        this.at = at;
        return "done";
      }
      phase = LINE_START;
    }
    this.at = at;
    this.#phase = phase;
    return "more";
  }

  #faultOfLineStart(octet: number): string | null {
    if (octet === SP || octet === HTAB) return "a line begins with whitespace (obsolete line folding)";
    return this.count === this.#countMax ? TOO_MANY_FIELDS : null;
  }

  /** Whitespace behind the value is not part of it. RFC 9112 section 5.1. */
  #addField(bytes: Uint8Array, lineEnd: number): void {
    let valueEnd = lineEnd;
    while (valueEnd > this.#valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    const mark = this.count++ * 4;
    this.marks[mark] = this.#start;
    this.marks[mark + 1] = this.#nameEnd;
    this.marks[mark + 2] = this.#valueStart;
    this.marks[mark + 3] = valueEnd;
  }

  #refuse(fault: string): "refused" {
    this.fault = fault;
    return "refused";
  }
}
