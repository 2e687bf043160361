import { type ClientHello, ClientHelloReader } from "../wire/client-hello.ts";
import { Http1Likeness } from "../wire/http1-likeness.ts";
import { PREFACE } from "../wire/http2-codes.ts";

/** What the first bytes of a connection tell of its protocol. `why` says what is wrong with a ClientHello. */
export type Sight =
  | { readonly speaks: "undecided" }
  | { readonly speaks: "http/1.1" | "h2" }
  | { readonly speaks: "tls"; readonly hello: ClientHello }
  | { readonly speaks: "opaque"; readonly why: string | null };

/**
 * Looks at a connection of which nobody has said what it speaks, as its bytes come: TLS by a whole ClientHello, HTTP/2 by
 * its whole preface, HTTP/1.1 by its first line, anything else as soon as it can be none of these.
 */
export class FirstBytes {
  readonly #pieces: Buffer[] = [];
  readonly #hello = new ClientHelloReader();
  readonly #http1 = new Http1Likeness();
  /** What is still possible; null before the first byte. */
  #may: "tls" | "preface" | "http/1.1" | null = null;
  #sight: Sight = UNDECIDED;
  #prefaceBytes = 0;

  /** All that came, in one piece; null when nothing did. */
  get bytes(): Buffer | null {
    const pieces = this.#pieces;
    return pieces.length === 0 ? null : pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  feed(chunk: Buffer): Sight {
    this.#pieces.push(chunk);
    if (this.#sight.speaks === "undecided" && chunk.length > 0) this.#sight = this.#look(chunk);
    return this.#sight;
  }

  /** What it is when no more comes in time: what has begun as a request stays one, for its parser to refuse. */
  conclude(): Sight {
    if (this.#sight.speaks !== "undecided") return this.#sight;
    if (this.#may === "tls") return { speaks: "opaque", why: "the ClientHello did not come whole" };
    return this.#may === null ? OPAQUE : HTTP1;
  }

  #look(chunk: Buffer): Sight {
    this.#may ??= chunk[0] === HANDSHAKE ? "tls" : "preface";
    if (this.#may === "tls") return this.#lookForHello(chunk);
    if (this.#may === "preface") {
      const bytes = Math.min(chunk.length, PREFACE.length - this.#prefaceBytes);
      const end = this.#prefaceBytes + bytes;
      if (chunk.compare(PREFACE, this.#prefaceBytes, end, 0, bytes) === 0) {
        this.#prefaceBytes = end;
        return end === PREFACE.length ? HTTP2 : UNDECIDED;
      }
      this.#may = "http/1.1";
      // What came before was the preface's beginning, and is looked at again.
      return this.#lookForLine(this.bytes!);
    }
    return this.#lookForLine(chunk);
  }

  #lookForHello(chunk: Buffer): Sight {
    const reading = this.#hello.feed(chunk);
    if (reading.at === "more") return UNDECIDED;
    return reading.at === "hello" ? { speaks: "tls", hello: reading.hello } : { speaks: "opaque", why: reading.why };
  }

  #lookForLine(chunk: Buffer): Sight {
    const likeness = this.#http1.feed(chunk);
    if (likeness === "undecided") return UNDECIDED;
    return likeness === "http/1.1" ? HTTP1 : OPAQUE;
  }
}

const HANDSHAKE = 0x16;
const UNDECIDED: Sight = Object.freeze({ speaks: "undecided" });
const HTTP1: Sight = Object.freeze({ speaks: "http/1.1" });
const HTTP2: Sight = Object.freeze({ speaks: "h2" });
const OPAQUE: Sight = Object.freeze({ speaks: "opaque", why: null });
