import { CardeaError } from "../core/errors.ts";

/** One PEM block. RFC 7468. */
export interface PemBlock {
  readonly label: string;
  readonly der: Buffer;
}

const BEGIN = "-----BEGIN ";
const END = "-----END ";
const DASHES = "-----";

/**
 * The blocks of a text, in order; what stands between blocks is explanation and ignored (RFC 7468 section 5.2).
 * Errors: `bad-input` when a block is broken, or when there is none.
 */
export function parsePem(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = [];
  // Searched for with indexOf, not by a regular expression: each character is looked at once, whoever wrote it.
  for (let begin = text.indexOf(BEGIN); begin >= 0; ) {
    const end = text.indexOf(END, begin);
    const next = text.indexOf(BEGIN, begin + BEGIN.length);
    if (end < 0 || (next >= 0 && next < end)) throw broken("a block has no end");
    blocks.push(parseBlock(text, begin, end));
    begin = next;
  }
  if (blocks.length === 0) throw broken("there is no block");
  return blocks;
}

/** The certificates of a text, DER, in order. Errors: `bad-input`, also when there is anything else than certificates. */
export function parseCertificatesPem(text: string): readonly Buffer[] {
  return parsePem(text).map((block) => {
    if (block.label !== "CERTIFICATE") throw broken(`a block is a ${block.label}, not a CERTIFICATE`);
    return block.der;
  });
}

/** One block with lines of 64 characters and a line feed at its end. RFC 7468 section 3. */
export function encodePem(label: string, der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `${BEGIN}${label}${DASHES}\n${lines.join("\n")}\n${END}${label}${DASHES}\n`;
}

function parseBlock(text: string, begin: number, end: number): PemBlock {
  const labelEnd = text.indexOf(DASHES, begin + BEGIN.length);
  if (labelEnd < 0 || labelEnd >= end) throw broken("a block's first line is malformed");
  const label = text.slice(begin + BEGIN.length, labelEnd);
  if (!text.startsWith(`${label}${DASHES}`, end + END.length)) throw broken(`a ${label} block ends as something else`);
  const base64 = text.slice(labelEnd + DASHES.length, end).replace(/\s+/g, "");
  // Buffer.from skips what is not base64; a damaged block must not pass as a shorter one.
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0) throw broken(`a ${label} block is not base64`);
  return { label, der: Buffer.from(base64, "base64") };
}

function broken(why: string): CardeaError {
  return new CardeaError("bad-input", `the PEM text is malformed: ${why}`);
}
