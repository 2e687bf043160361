import { LIMITS } from "../core/limits.ts";
import { TOKEN } from "./octets.ts";

/** Whether bytes begin as a request of HTTP/1.x does. */
export type Likeness = "http/1.1" | "other" | "undecided";

/**
 * Looks at the first line of a connection of which nobody has said what it speaks: `method target HTTP/n`. Wide on
 * purpose: what an app's lenient parser could take for a request is called one, and our own strict parser then refuses
 * it; as opaque bytes it would have gone by unread. Feed it in pieces; it remembers where it is.
 */
export class Http1Likeness {
  #state: "blank" | "method" | "rest" = "blank";
  #bytes = 0;
  #methodBytes = 0;
  /** The line's last octets: enough for the version and a blank behind it. */
  #tail = "";

  feed(chunk: Buffer): Likeness {
    for (const octet of chunk) {
      const likeness = this.#take(octet);
      if (likeness !== "undecided") return likeness;
    }
    return "undecided";
  }

  #take(octet: number): Likeness {
    this.#bytes++;
    const isLineEnd = octet === CR || octet === LF;
    switch (this.#state) {
      case "blank":
        // Servers skip empty lines before a request. RFC 9112 section 2.2.
        if (isLineEnd) break;
        if (TOKEN[octet] === 0) return "other";
        this.#state = "method";
        this.#methodBytes = 1;
        break;
      case "method":
        if (octet === SPACE || octet === TAB) this.#state = "rest";
        else if (TOKEN[octet] === 0 || ++this.#methodBytes > METHOD_BYTES_MAX) return "other";
        break;
      case "rest":
        if (isLineEnd) return VERSION.test(this.#tail) ? "http/1.1" : "other";
        if ((octet < SPACE && octet !== TAB) || octet === DELETE) return "other";
        this.#keep(octet);
        break;
    }
    // Hardly another text protocol has lines of this length, and the parser refuses it.
    return this.#bytes > LINE_BYTES_MAX ? "http/1.1" : "undecided";
  }

  /** Blanks count once: however many stand behind the version, it is found. */
  #keep(octet: number): void {
    if (octet !== SPACE && octet !== TAB) this.#tail = (this.#tail + String.fromCharCode(octet)).slice(-TAIL_BYTES);
    else if (!this.#tail.endsWith(" ")) this.#tail += " ";
  }
}

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const DELETE = 0x7f;
const METHOD_BYTES_MAX = 64;
const TAIL_BYTES = 32;
const LINE_BYTES_MAX = LIMITS.targetBytesMax + 256;
const VERSION = /http\/\d[\d.]* ?$/i;
