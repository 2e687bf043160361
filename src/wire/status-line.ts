import type { ScanStep } from "./field-lines.ts";
import type { StartLine } from "./head-scan.ts";
import { minorVersionOf, skipVersion, VERSION_LENGTH } from "./http-version.ts";
import { CR, DIGIT_ZERO, FIELD_VALUE, isDigit, LF, SP } from "./octets.ts";

type StatusPhase = "version" | "space" | "status" | "after-status" | "reason" | "lf";

/**
 * `HTTP-version SP 3DIGIT SP [reason] CRLF`. The space behind the status may be missing when no reason follows, as
 * many servers leave it out. Works like RequestLine. RFC 9112 section 4.
 */
export class StatusLine implements StartLine {
  at = 0;
  minorVersion: 0 | 1 = 1;
  fault = "";
  readonly faultCode = "upstream-protocol-error";
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
          if (!this.#scanVersion(bytes, end))
            return this.#refuse("the answer does not begin with HTTP/1.1 or HTTP/1.0");
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
    if (minorVersion === null) return false;
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
    this.fault = fault;
    return "refused";
  }
}

const NO_LF = "a CR is not followed by LF";
