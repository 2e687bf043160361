import { LIMITS } from "../../src/core/limits.ts";

/**
 * The grammar once more, in another way: regular expressions over the whole text, straight from RFC 9112 as we
 * narrowed it. Slow and simple, so that the codecs have something to be measured by.
 */
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const VALUE = "[\\t\\x20-\\x7e\\x80-\\xff]*";
const FIELD = `${TOKEN}:${VALUE}\\r\\n`;
const METHOD = "[!#$%&'*+.^_`|~0-9A-Z-]+";

const REQUEST_HEAD = new RegExp(`^(?:\\r\\n)?${METHOD} [!-"$-~]+ HTTP/1\\.[01]\\r\\n(?:${FIELD})*\\r\\n$`);
const RESPONSE_HEAD = new RegExp(`^HTTP/1\\.[01] [1-9][0-9]{2}(?: ${VALUE})?\\r\\n(?:${FIELD})*\\r\\n$`);

export function isRequestHead(text: string): boolean {
  return REQUEST_HEAD.test(text);
}

export function isResponseHead(text: string): boolean {
  return RESPONSE_HEAD.test(text);
}

/** The octets that frame a message, whoever reads it: how many fields of these names there are. */
export function countFields(headers: readonly string[], lowerName: string): number {
  return headers.filter((text, i) => i % 2 === 0 && text.toLowerCase() === lowerName).length;
}

const QUOTED = '"(?:[\\t !#-\\[\\]-~\\x80-\\xff]|\\\\[\\t -~\\x80-\\xff])*"';
const SIZE_LINE = new RegExp(`^([0-9A-Fa-f]+)(?:;${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?)*\\r\\n`);
const TRAILERS = new RegExp(`^(?:${FIELD})*\\r\\n`);

/** A whole chunked body at the text's beginning: its payload and its length as coded; null when there is none. */
export function decodeChunked(text: string): { readonly payload: string; readonly bytes: number } | null {
  let payload = "";
  let at = 0;
  let overhead = 0;
  for (;;) {
    const line = SIZE_LINE.exec(text.slice(at));
    if (line === null || line[0].length > LIMITS.chunkLineBytesMax) return null;
    at += line[0].length;
    const size = Number.parseInt(line[1]!, 16);
    overhead = Math.max(0, overhead + line[0].length - 16 - 2 * size);
    if (overhead > LIMITS.chunkOverheadBytesMax) return null;
    if (size === 0) break;
    const data = text.slice(at, at + size);
    if (text.slice(at + size, at + size + 2) !== "\r\n") return null;
    payload += data;
    at += size + 2;
  }
  const trailers = TRAILERS.exec(text.slice(at));
  return trailers === null ? null : { payload, bytes: at + trailers[0].length };
}
