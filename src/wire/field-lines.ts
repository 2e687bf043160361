import { COLON, CR, FIELD_VALUE, HTAB, LF, SP, TOKEN } from "./octets.ts";

/** `more`: every octet given has been looked at and the section goes on. */
export type ScanStep = "more" | "done" | "refused";

type Phase = "line" | "name" | "before-value" | "value" | "value-lf" | "final-lf";

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
  #phase: Phase = "line";
  #nameStart = 0;
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
    this.#phase = "line";
  }

  /** Looks at the octets from `this.at` to `end`. */
  scan(bytes: Uint8Array, end: number): ScanStep {
    while (this.at < end) {
      switch (this.#phase) {
        case "line":
          if (!this.#beginLine(bytes[this.at]!)) return "refused";
          break;
        case "name":
          if (!this.#scanName(bytes, end)) return "refused";
          break;
        case "before-value":
          this.#skipWhitespace(bytes, end);
          break;
        case "value":
          if (!this.#scanValue(bytes, end)) return "refused";
          break;
        case "value-lf":
          if (bytes[this.at++] !== LF) return this.#refuse("a CR is not followed by LF");
          this.#phase = "line";
          break;
        case "final-lf":
          if (bytes[this.at++] !== LF) return this.#refuse("a CR is not followed by LF");
          return "done";
      }
    }
    return "more";
  }

  #beginLine(octet: number): boolean {
    if (octet === CR) {
      this.at++;
      this.#phase = "final-lf";
      return true;
    }
    if (octet === SP || octet === HTAB) return this.#fail("a line begins with whitespace (obsolete line folding)");
    if (this.count === this.#countMax) return this.#fail(TOO_MANY_FIELDS);
    this.#nameStart = this.at;
    this.#phase = "name";
    return true;
  }

  #scanName(bytes: Uint8Array, end: number): boolean {
    let at = this.at;
    while (at < end && TOKEN[bytes[at]!] === 1) at++;
    this.at = at;
    if (at === end) return true;
    if (bytes[at] !== COLON) return this.#fail("a field name is not a token that a colon follows");
    if (at === this.#nameStart) return this.#fail("a field name is empty");
    this.#nameEnd = at;
    this.#valueStart = this.at = at + 1;
    this.#phase = "before-value";
    return true;
  }

  #skipWhitespace(bytes: Uint8Array, end: number): void {
    let at = this.at;
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++;
    this.at = this.#valueStart = at;
    if (at < end) this.#phase = "value";
  }

  #scanValue(bytes: Uint8Array, end: number): boolean {
    let at = this.at;
    while (at < end && FIELD_VALUE[bytes[at]!] === 1) at++;
    this.at = at;
    if (at === end) return true;
    if (bytes[at] !== CR) return this.#fail("a field value holds a control character or a bare LF");
    this.#addField(bytes, at);
    this.at = at + 1;
    this.#phase = "value-lf";
    return true;
  }

  #addField(bytes: Uint8Array, lineEnd: number): void {
    let valueEnd = lineEnd;
    while (valueEnd > this.#valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    const mark = this.count++ * 4;
    this.marks[mark] = this.#nameStart;
    this.marks[mark + 1] = this.#nameEnd;
    this.marks[mark + 2] = this.#valueStart;
    this.marks[mark + 3] = valueEnd;
  }

  #refuse(fault: string): "refused" {
    this.fault = fault;
    return "refused";
  }

  #fail(fault: string): false {
    this.fault = fault;
    return false;
  }
}

/** The one fault of a section that is about size, so that a request is answered 431 instead of 400. */
export const TOO_MANY_FIELDS = "there are too many fields";
