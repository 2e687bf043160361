import { TAG, type DerValue, derInvalid } from "./der.ts";

/** An INTEGER's two's complement octets in their shortest form. X.690 section 8.3. Errors: `der-invalid`. */
export function readInteger(value: DerValue): Buffer {
  expectTag(value, TAG.integer);
  const [first, second] = value.content;
  if (first === undefined) throw derInvalid("an INTEGER is empty");
  const isPadded = second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
  if (isPadded) throw derInvalid("an INTEGER is not in the shortest form");
  return value.content;
}

/** An INTEGER from 0 to 2^31 − 1, e.g. a version or a path length. Errors: `der-invalid`. */
export function readSmallInteger(value: DerValue): number {
  const octets = readInteger(value);
  if (octets.length > 4 || octets[0]! >= 0x80) throw derInvalid("an INTEGER is out of range");
  return octets.readUIntBE(0, octets.length);
}

/** X.690 sections 8.2 and 11.1: TRUE is 0xff and nothing else. Errors: `der-invalid`. */
export function readBoolean(value: DerValue): boolean {
  expectTag(value, TAG.boolean);
  const [octet] = value.content;
  if (value.content.length !== 1 || (octet !== 0 && octet !== 0xff)) throw derInvalid("a BOOLEAN is not 00 or ff");
  return octet === 0xff;
}

/** A BIT STRING that holds whole octets: a key or a signature. X.690 section 8.6. Errors: `der-invalid`. */
export function readOctetAlignedBits(value: DerValue): Buffer {
  expectTag(value, TAG.bitString);
  if (value.content[0] !== 0) throw derInvalid("a BIT STRING does not hold whole octets");
  return value.content.subarray(1);
}

/**
 * A named bit list (KeyUsage) as a number: bit 0 of the list is the lowest bit. X.690 section 11.2: unused bits and
 * trailing zero bits are left out. Errors: `der-invalid`.
 */
export function readNamedBits(value: DerValue): number {
  expectTag(value, TAG.bitString);
  const unused = value.content[0];
  const octets = value.content.subarray(1);
  if (unused === undefined || unused > 7 || octets.length > 4) throw derInvalid("a named bit list is malformed");
  if (octets.length === 0) {
    if (unused !== 0) throw derInvalid("a named bit list is malformed");
    return 0;
  }
  const last = octets.at(-1)!;
  // The lowest used bit must be set: that refuses padding that is not zero and trailing zeros alike.
  if ((last & ((1 << unused) - 1)) !== 0 || (last & (1 << unused)) === 0)
    throw derInvalid("a named bit list is not in the shortest form");
  let bits = 0;
  for (let index = 0; index < octets.length * 8; index += 1) {
    if ((octets[index >> 3]! & (0x80 >> (index & 7))) !== 0) bits |= 1 << index;
  }
  return bits;
}

export function readOctetString(value: DerValue): Buffer {
  expectTag(value, TAG.octetString);
  return value.content;
}

/** An OBJECT IDENTIFIER in dotted form. X.690 section 8.19. Errors: `der-invalid`. */
export function readOid(value: DerValue): string {
  expectTag(value, TAG.oid);
  const arcs: number[] = [];
  let arc = 0;
  let isInside = false;
  for (const octet of value.content) {
    if (!isInside && octet === 0x80) throw derInvalid("an OBJECT IDENTIFIER is not in the shortest form");
    arc = arc * 128 + (octet & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER / 128) throw derInvalid("an OBJECT IDENTIFIER has an arc out of range");
    isInside = octet >= 0x80;
    if (isInside) continue;
    arcs.push(arc);
    arc = 0;
  }
  const [first] = arcs;
  if (isInside || first === undefined) throw derInvalid("an OBJECT IDENTIFIER ends early");
  const root = Math.min(Math.floor(first / 40), 2);
  return [root, first - root * 40, ...arcs.slice(1)].join(".");
}

/** An IA5String's content whatever tag it goes under: ASCII, NUL included. Errors: `der-invalid`. */
export function readAscii(content: Buffer): string {
  for (const octet of content) if (octet >= 0x80) throw derInvalid("an IA5String is not ASCII");
  return content.toString("latin1");
}

/**
 * UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 allows them: seconds, no fraction, Z. Milliseconds since the
 * Unix epoch. Errors: `der-invalid`.
 */
export function readTime(value: DerValue): number {
  const text = value.content.toString("latin1");
  if (value.tag === TAG.utcTime && /^\d{12}Z$/.test(text)) {
    const year = Number(text.slice(0, 2));
    return timeOf(`${year < 50 ? 20 : 19}${text}`);
  }
  if (value.tag === TAG.generalizedTime && /^\d{14}Z$/.test(text)) {
    // Before 2050 UTCTime is a must: two encodings of one moment would be two certificates of one content.
    if (Number(text.slice(0, 4)) < 2050) throw derInvalid("a time before 2050 is not a UTCTime");
    return timeOf(text);
  }
  throw derInvalid("a time is neither YYMMDDHHMMSSZ nor YYYYMMDDHHMMSSZ");
}

/** `YYYYMMDDHHMMSSZ` */
function timeOf(text: string): number {
  const part = (from: number): number => Number(text.slice(from, from + 2));
  const [year, month, day] = [Number(text.slice(0, 4)), part(4), part(6)];
  const [hour, minute, second] = [part(8), part(10), part(12)];
  const timeMs = Date.UTC(year, month - 1, day, hour, minute, second);
  // Date.UTC takes 30 February for 2 March, and month 0 for the December before.
  const isDate = month >= 1 && month <= 12 && day >= 1 && new Date(timeMs).getUTCDate() === day;
  if (!isDate || hour > 23 || minute > 59 || second > 59) throw derInvalid("a time is no date");
  return timeMs;
}

function expectTag(value: DerValue, tag: number): void {
  if (value.tag !== tag) throw derInvalid(`tag 0x${value.tag.toString(16)} stands where 0x${tag.toString(16)} belongs`);
}
