import { LIMITS } from "../core/limits.ts";
import { FieldLines, type ScanStep } from "./field-lines.ts";
import { type Headers, sliceHeaders } from "./headers.ts";
import { HeldOctets } from "./held-octets.ts";
import { BACKSLASH, CR, DQUOTE, EQUALS, FIELD_VALUE, HEX_VALUE, LF, QUOTED_TEXT, SEMICOLON, TOKEN } from "./octets.ts";
import { isForbiddenTrailer } from "./trailer-names.ts";

/** Which part of the coding comes next. */
type Section = "size-line" | "data" | "data-cr" | "data-lf" | "trailers";

/** Which part of a size line comes next. */
type LinePhase =
  | "size-first"
  | "size"
  | "extension-first"
  | "extension-name"
  | "value-first"
  | "value-token"
  | "value-quoted"
  | "value-escape"
  | "value-end"
  | "lf";

/**
 * Takes the chunked coding off, at any split. Strict: CRLF alone, no whitespace around sizes and extensions (RFC 9112
 * section 7.1.1 has it as "bad whitespace" that old senders produced), extensions checked and then dropped, trailers in
 * the grammar of fields with those that section 6.5.1 of RFC 9110 forbids left out. RFC 9112 section 7.1.
 */
export class ChunkedDecoder {
  /** After "done": the first octet of the last chunk of input that is not part of the body. */
  at = 0;
  fault = "";
  trailers: Headers = [];
  #section: Section = "size-line";
  #phase: LinePhase = "size-first";
  /** Octets of the current size line, extensions included. */
  #lineBytes = 0;
  /** Octets of size lines beyond what the data excuses. */
  #overheadBytes = 0;
  #size = 0;
  #dataLeft = 0;
  #fields: FieldLines | null = null;
  readonly #held = new HeldOctets(LIMITS.trailerBytesMax);

  /** Adds what `input` holds of the payload to `pieces`, as subarrays. */
  decode(input: Buffer, pieces: Buffer[]): ScanStep {
    let at = 0;
    while (at < input.length) {
      switch (this.#section) {
        case "size-line":
          if (!this.#takeLineOctet(input[at++]!)) return "refused";
          break;
        case "data":
          at = this.#takeData(input, at, pieces);
          break;
        case "data-cr":
          if (input[at++] !== CR) return this.#refuse("a chunk is longer than its size");
          this.#section = "data-lf";
          break;
        case "data-lf":
          if (input[at++] !== LF) return this.#refuse("a CR is not followed by LF");
          this.#section = "size-line";
          break;
        case "trailers":
          return this.#takeTrailers(input, at);
      }
    }
    this.at = at;
    return "more";
  }

  #takeData(input: Buffer, at: number, pieces: Buffer[]): number {
    const end = Math.min(input.length, at + this.#dataLeft);
    this.#dataLeft -= end - at;
    if (this.#dataLeft === 0) this.#section = "data-cr";
    pieces.push(input.subarray(at, end));
    return end;
  }

  /**
   * One octet of `chunk-size *( ";" name [ "=" ( token / quoted-string ) ] ) CRLF`. These lines are short, so octets
   * are taken one by one. RFC 9112 section 7.1.1.
   */
  #takeLineOctet(octet: number): boolean {
    if (++this.#lineBytes > LIMITS.chunkLineBytesMax) return this.#fail("a chunk-size line is too long");
    switch (this.#phase) {
      case "size-first":
      case "size":
        return this.#takeSizeOctet(octet);
      case "extension-first":
        this.#phase = "extension-name";
        return TOKEN[octet] === 1 || this.#fail("a chunk extension has no name");
      case "extension-name":
        return this.#takeNameOctet(octet);
      case "value-first":
        this.#phase = octet === DQUOTE ? "value-quoted" : "value-token";
        return octet === DQUOTE || TOKEN[octet] === 1 || this.#fail("a chunk extension's value is empty");
      case "value-token":
        return TOKEN[octet] === 1 || this.#endPart(octet, "a chunk extension's value is not a token");
      case "value-quoted":
        return this.#takeQuotedOctet(octet);
      case "value-escape":
        this.#phase = "value-quoted";
        return FIELD_VALUE[octet] === 1 || this.#fail("a chunk extension escapes a control character");
      case "value-end":
        return this.#endPart(octet, "a chunk extension goes on behind its quoted value");
      case "lf":
        return octet === LF ? this.#endLine() : this.#fail("a CR is not followed by LF");
    }
  }

  #takeSizeOctet(octet: number): boolean {
    const digit = HEX_VALUE[octet]!;
    if (digit < 16) {
      this.#size = this.#size * 16 + digit;
      this.#phase = "size";
      return this.#size <= Number.MAX_SAFE_INTEGER || this.#fail("a chunk size is not below 2^53");
    }
    if (this.#phase === "size-first") return this.#fail("a chunk size is not hexadecimal");
    return this.#endPart(octet, "a chunk size is not hexadecimal, or not followed by CRLF or an extension");
  }

  #takeNameOctet(octet: number): boolean {
    if (TOKEN[octet] === 1) return true;
    if (octet !== EQUALS) return this.#endPart(octet, "a chunk extension's name is not a token");
    this.#phase = "value-first";
    return true;
  }

  /** RFC 9110 section 5.6.4. */
  #takeQuotedOctet(octet: number): boolean {
    if (QUOTED_TEXT[octet] === 1) return true;
    if (octet !== DQUOTE && octet !== BACKSLASH) return this.#fail("a chunk extension holds a control character");
    this.#phase = octet === DQUOTE ? "value-end" : "value-escape";
    return true;
  }

  /** Behind a size, a name or a value: the line's end or the next extension. */
  #endPart(octet: number, fault: string): boolean {
    if (octet !== CR && octet !== SEMICOLON) return this.#fail(fault);
    this.#phase = octet === CR ? "lf" : "extension-first";
    return true;
  }

  #endLine(): boolean {
    this.#overheadBytes = Math.max(0, this.#overheadBytes + this.#lineBytes - 16 - 2 * this.#size);
    if (this.#overheadBytes > LIMITS.chunkOverheadBytesMax) return this.#fail("there is more framing than data");
    this.#section = this.#size === 0 ? "trailers" : "data";
    this.#phase = "size-first";
    this.#dataLeft = this.#size;
    this.#size = 0;
    this.#lineBytes = 0;
    return true;
  }

  /** The trailer section is short or absent: it is scanned in place, and copied only when it comes in pieces. */
  #takeTrailers(input: Buffer, start: number): ScanStep {
    const fields = (this.#fields ??= new FieldLines(LIMITS.headerCountMax));
    const before = this.#held.bytes;
    if (before === 0) fields.reset(0);
    const tail = start === 0 ? input : input.subarray(start);
    const section = before === 0 ? tail : this.#held.append(tail);
    const end = Math.min(before + tail.length, LIMITS.trailerBytesMax);
    const step = fields.scan(section, end);
    if (step === "refused") return this.#refuse(fields.fault);
    if (step === "more") return this.#holdTrailers(tail, before, end);
    this.trailers = trailersOf(section, fields);
    this.at = start + fields.at - before;
    return "done";
  }

  #holdTrailers(tail: Buffer, before: number, end: number): ScanStep {
    if (end === LIMITS.trailerBytesMax) return this.#refuse("the trailer section is too long");
    if (before === 0) this.#held.append(tail);
    return "more";
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

function trailersOf(section: Buffer, fields: FieldLines): Headers {
  if (fields.count === 0) return NO_TRAILERS;
  const received = sliceHeaders(section.toString("latin1", 0, fields.at), fields);
  return received.filter((_, i) => !isForbiddenTrailer(received[i - (i % 2)]!.toLowerCase()));
}

const NO_TRAILERS: Headers = Object.freeze([]);
