import { CardeaError, type ErrorCode } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { FieldLines, type ScanStep, TOO_MANY_FIELDS } from "./field-lines.ts";

/** RequestLine or StatusLine. */
export interface StartLine {
  /** The next octet to look at; after "done", the first one behind the line. */
  readonly at: number;
  /** Why the scan answered "refused", and with which code. */
  readonly fault: string;
  readonly faultCode: ErrorCode;
  reset(): void;
  scan(bytes: Uint8Array, end: number): ScanStep;
}

/** With which codes the fields of a head are refused. */
export interface FieldFaultCodes {
  readonly malformed: ErrorCode;
  readonly tooLarge: ErrorCode;
}

/**
 * A head under way: its start line, then its fields. Each octet is looked at once, so the octets seen so far must stay
 * at the same offsets until the scan is done or reset.
 */
export class HeadScan<Line extends StartLine> {
  readonly line: Line;
  readonly fields = new FieldLines(LIMITS.headerCountMax);
  readonly #codes: FieldFaultCodes;
  #isInFields = false;

  constructor(line: Line, codes: FieldFaultCodes) {
    this.line = line;
    this.#codes = codes;
  }

  reset(): void {
    this.line.reset();
    this.#isInFields = false;
  }

  /** Goes on at the first octet not yet seen; `end` is where the input ends. Answers with the error when it refuses. */
  advance(bytes: Uint8Array, end: number): "more" | "done" | CardeaError {
    const stop = Math.min(end, LIMITS.headBytesMax);
    const step = this.#isInFields ? "done" : this.line.scan(bytes, stop);
    if (step === "refused") return new CardeaError(this.line.faultCode, this.line.fault);
    if (step === "more") return this.#askForMore(stop);
    if (!this.#isInFields) this.#enterFields();
    return this.#advanceFields(bytes, stop);
  }

  #enterFields(): void {
    this.#isInFields = true;
    this.fields.reset(this.line.at);
  }

  #advanceFields(bytes: Uint8Array, stop: number): "more" | "done" | CardeaError {
    const step = this.fields.scan(bytes, stop);
    if (step === "done") return step;
    if (step === "more") return this.#askForMore(stop);
    const { fault } = this.fields;
    return new CardeaError(fault === TOO_MANY_FIELDS ? this.#codes.tooLarge : this.#codes.malformed, fault);
  }

  #askForMore(stop: number): "more" | CardeaError {
    return stop < LIMITS.headBytesMax ? "more" : new CardeaError(this.#codes.tooLarge, "the head is too long");
  }
}
