import type { ErrorCode } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { ScanStep } from "./field-lines.ts";
import { CR, FIELD_VALUE, LF, METHOD, SP, TARGET } from "./octets.ts";

type RequestPhase = "begin" | "begin-lf" | "method" | "target" | "version" | "cr" | "lf";

/**
 * `method SP request-target SP HTTP-version CRLF`, single spaces alone. Looks at each octet once, however they
 * arrive, and keeps offsets. RFC 9112 section 3.
 */
export class RequestLine {
  /** The next octet to look at; after "done", the first one behind the line. */
  at = 0;
  minorVersion: 0 | 1 = 1;
  /** Why the scan answered "refused", and with which code. */
  fault = "";
  faultCode: ErrorCode = "bad-request";
  methodStart = 0;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  #phase: RequestPhase = "begin";

  reset(): void {
    this.at = 0;
    this.#phase = "begin";
  }

  scan(bytes: Uint8Array, end: number): ScanStep {
    while (this.at < end) {
      switch (this.#phase) {
        case "begin":
          this.#begin(bytes[this.at]!);
          break;
        case "begin-lf":
          if (bytes[this.at++] !== LF) return this.#refuse("bad-request", NO_LF);
          this.methodStart = this.at;
          this.#phase = "method";
          break;
        case "method":
          if (!this.#scanMethod(bytes, end)) return "refused";
          break;
        case "target":
          if (!this.#scanTarget(bytes, end)) return "refused";
          break;
        case "version":
          if (!this.#scanVersion(bytes, end)) return "refused";
          break;
        case "cr":
          if (bytes[this.at++] !== CR) return this.#refuse("bad-request", "the version is not followed by CRLF");
          this.#phase = "lf";
          break;
        case "lf":
          if (bytes[this.at++] !== LF) return this.#refuse("bad-request", NO_LF);
          return "done";
      }
    }
    return "more";
  }

  /** One empty line before a request is let pass, as RFC 9112 section 2.2 asks: some clients end a body with it. */
  #begin(octet: number): void {
    this.methodStart = this.at;
    this.#phase = octet === CR ? "begin-lf" : "method";
    if (octet === CR) this.at++;
  }

  #scanMethod(bytes: Uint8Array, end: number): boolean {
    let at = this.at;
    while (at < end && METHOD[bytes[at]!] === 1) at++;
    this.at = at;
    if (at === end) return true;
    if (bytes[at] !== SP || at === this.methodStart) return this.#fail("the method is not an upper-case token");
    this.methodEnd = at;
    this.targetStart = this.at = at + 1;
    this.#phase = "target";
    return true;
  }

  #scanTarget(bytes: Uint8Array, end: number): boolean {
    const limit = this.targetStart + LIMITS.targetBytesMax;
    const stop = end < limit ? end : limit;
    let at = this.at;
    while (at < stop && TARGET[bytes[at]!] === 1) at++;
    this.at = at;
    if (at === end) return true;
    if (bytes[at] !== SP || at === this.targetStart) return this.#failTarget(at === limit);
    this.targetEnd = at;
    this.at = at + 1;
    this.#phase = "version";
    return true;
  }

  #failTarget(isTooLong: boolean): false {
    if (isTooLong) this.faultCode = "head-too-large";
    return this.#fail(
      isTooLong ? "the request-target is too long" : "the request-target is empty or not visible ASCII",
    );
  }

  #scanVersion(bytes: Uint8Array, end: number): boolean {
    const start = this.targetEnd + 1;
    this.at = skipVersion(bytes, start, this.at, end);
    if (this.at === end && end < start + VERSION_LENGTH) return true;
    if (this.at < start + VERSION_LENGTH) return this.#fail("the request-target is not followed by HTTP/1.1");
    const minorVersion = minorVersionOf(bytes, start);
    if (minorVersion === null) {
      this.faultCode = "version-not-supported";
      return this.#fail("the version is neither HTTP/1.1 nor HTTP/1.0");
    }
    this.minorVersion = minorVersion;
    this.#phase = "cr";
    return true;
  }

  #fail(fault: string): false {
    this.fault = fault;
    return false;
  }

  #refuse(code: ErrorCode, fault: string): "refused" {
    this.faultCode = code;
    this.fault = fault;
    return "refused";
  }
}

type StatusPhase = "version" | "space" | "status" | "after-status" | "reason" | "lf";

/**
 * `HTTP-version SP 3DIGIT SP [reason] CRLF`. The space behind the status may be missing when no reason follows, as
 * many servers leave it out. Works like RequestLine. RFC 9112 section 4.
 */
export class StatusLine {
  at = 0;
  minorVersion: 0 | 1 = 1;
  fault = "";
  status = 0;
  reasonStart = 0;
  reasonEnd = 0;
  #phase: StatusPhase = "version";

  reset(): void {
    this.at = 0;
    this.status = 0;
    this.#phase = "version";
  }

  scan(bytes: Uint8Array, end: number): ScanStep {
    while (this.at < end) {
      switch (this.#phase) {
        case "version":
          if (!this.#scanVersion(bytes, end)) return "refused";
          break;
        case "space":
          if (bytes[this.at++] !== SP) return this.#refuse("the version is not followed by one space");
          this.#phase = "status";
          break;
        case "status":
          if (!this.#addDigit(bytes[this.at++]!)) return this.#refuse("the status is not three digits from 100 up");
          break;
        case "after-status":
          if (!this.#leaveStatus(bytes[this.at++]!)) return this.#refuse("the status is not followed by a space");
          break;
        case "reason":
          if (!this.#scanReason(bytes, end)) return this.#refuse("the reason holds a control character or a bare LF");
          break;
        case "lf":
          if (bytes[this.at++] !== LF) return this.#refuse(NO_LF);
          return "done";
      }
    }
    return "more";
  }

  #scanVersion(bytes: Uint8Array, end: number): boolean {
    this.at = skipVersion(bytes, 0, this.at, end);
    if (this.at === end && end < VERSION_LENGTH) return true;
    const minorVersion = this.at < VERSION_LENGTH ? null : minorVersionOf(bytes, 0);
    if (minorVersion === null) {
      this.fault = "the answer does not begin with HTTP/1.1 or HTTP/1.0";
      return false;
    }
    this.minorVersion = minorVersion;
    this.#phase = "space";
    return true;
  }

  /** The first digit is not 0; beyond 599 a status counts as 5xx and is passed on. RFC 9110 section 15. */
  #addDigit(octet: number): boolean {
    if (!isDigit(octet) || (this.status === 0 && octet === DIGIT_ZERO)) return false;
    this.status = this.status * 10 + octet - DIGIT_ZERO;
    if (this.status >= 100) this.#phase = "after-status";
    return true;
  }

  #leaveStatus(octet: number): boolean {
    this.reasonStart = this.reasonEnd = this.at;
    this.#phase = octet === CR ? "lf" : "reason";
    return octet === CR || octet === SP;
  }

  #scanReason(bytes: Uint8Array, end: number): boolean {
    let at = this.at;
    while (at < end && FIELD_VALUE[bytes[at]!] === 1) at++;
    this.at = at;
    if (at === end) return true;
    this.reasonEnd = at;
    this.at = at + 1;
    this.#phase = "lf";
    return bytes[at] === CR;
  }

  #refuse(fault: string): "refused" {
    if (this.fault === "") this.fault = fault;
    return "refused";
  }
}

const NO_LF = "a CR is not followed by LF";
const VERSION_LENGTH = 8;
const VERSION_DIGIT = -1;
const DIGIT_ZERO = 0x30;
const DIGIT_ONE = 0x31;

/** `HTTP/` in upper case, a digit, a dot, a digit. RFC 9112 section 2.3. */
const VERSION_PATTERN = [0x48, 0x54, 0x54, 0x50, 0x2f, VERSION_DIGIT, 0x2e, VERSION_DIGIT] as const;

/** The offset of the first octet that does not fit a version beginning at `start`, or the version's or input's end. */
function skipVersion(bytes: Uint8Array, start: number, from: number, end: number): number {
  const stop = Math.min(end, start + VERSION_LENGTH);
  for (let at = from; at < stop; at++) {
    const expected = VERSION_PATTERN[at - start]!;
    const isRight = expected === VERSION_DIGIT ? isDigit(bytes[at]!) : bytes[at] === expected;
    if (!isRight) return at;
  }
  return stop;
}

/** HTTP/1.1 and HTTP/1.0 alone: what 1.2 would mean nobody has written down. */
function minorVersionOf(bytes: Uint8Array, start: number): 0 | 1 | null {
  if (bytes[start + 5] !== DIGIT_ONE) return null;
  const minor = bytes[start + 7]! - DIGIT_ZERO;
  return minor === 0 || minor === 1 ? minor : null;
}

function isDigit(octet: number): boolean {
  return octet >= DIGIT_ZERO && octet <= 0x39;
}
