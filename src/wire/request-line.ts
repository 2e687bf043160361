import type { ErrorCode } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { ScanStep } from "./field-lines.ts";
import type { StartLine } from "./head-scan.ts";
import { minorVersionOf, skipVersion, VERSION_LENGTH } from "./http-version.ts";
import { CR, LF, METHOD, SP, TARGET } from "./octets.ts";

type RequestPhase = "begin" | "begin-lf" | "method" | "target" | "version" | "cr" | "lf";

/**
 * `method SP request-target SP HTTP-version CRLF`, single spaces alone. Looks at each octet once, however they
 * arrive, and keeps offsets. RFC 9112 section 3.
 */
export class RequestLine implements StartLine {
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
          if (bytes[this.at++] !== LF) return this.#refuse(NO_LF);
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
          if (bytes[this.at++] !== CR) return this.#refuse("the version is not followed by CRLF");
          this.#phase = "lf";
          break;
        case "lf":
          if (bytes[this.at++] !== LF) return this.#refuse(NO_LF);
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
    if (isTooLong) return this.#fail("the request-target is too long", "head-too-large");
    return this.#fail("the request-target is empty or not visible ASCII");
  }

  #scanVersion(bytes: Uint8Array, end: number): boolean {
    const start = this.targetEnd + 1;
    this.at = skipVersion(bytes, start, this.at, end);
    if (this.at === end && end < start + VERSION_LENGTH) return true;
    if (this.at < start + VERSION_LENGTH) return this.#fail("the request-target is not followed by HTTP/1.1");
    const minorVersion = minorVersionOf(bytes, start);
    if (minorVersion === null) {
      return this.#fail("the version is neither HTTP/1.1 nor HTTP/1.0", "version-not-supported");
    }
    this.minorVersion = minorVersion;
    this.#phase = "cr";
    return true;
  }

  #fail(fault: string, code: ErrorCode = "bad-request"): false {
    this.fault = fault;
    this.faultCode = code;
    return false;
  }

  #refuse(fault: string): "refused" {
    this.#fail(fault);
    return "refused";
  }
}

const NO_LF = "a CR is not followed by LF";
