import { TAG } from "./der.ts";

/** One value from its content's parts. docs/adr has why these forty lines are ours. X.690 sections 8.1 and 10.1. */
export function writeDer(tag: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(length)]), ...parts]);
}

export function writeSequence(...elements: readonly Buffer[]): Buffer {
  return writeDer(TAG.sequence, ...elements);
}

/** An INTEGER from 0 to 127. */
export function writeSmallInteger(value: number): Buffer {
  return Buffer.from([TAG.integer, 1, value & 0x7f]);
}

/** A positive INTEGER from its magnitude, most significant octet first. */
export function writeUnsigned(magnitude: Buffer): Buffer {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start += 1;
  const shortest = magnitude.subarray(start);
  // A leading one bit would make it negative.
  return shortest[0]! >= 0x80 ? writeDer(TAG.integer, Buffer.from([0]), shortest) : writeDer(TAG.integer, shortest);
}

export function writeTrue(): Buffer {
  return Buffer.from([TAG.boolean, 1, 0xff]);
}

/** A BIT STRING of whole octets. */
export function writeBits(octets: Buffer): Buffer {
  return writeDer(TAG.bitString, Buffer.from([0]), octets);
}

/** A named bit list of at most eight bits, bit 0 of the list being the lowest; trailing zeros are left out. */
export function writeNamedBits(bits: number): Buffer {
  let octet = 0;
  let unused = 8;
  for (let index = 0; index < 8; index += 1) {
    if ((bits & (1 << index)) === 0) continue;
    octet |= 0x80 >> index;
    unused = 7 - index;
  }
  return octet === 0
    ? writeDer(TAG.bitString, Buffer.from([0]))
    : writeDer(TAG.bitString, Buffer.from([unused, octet]));
}

export function writeOctetString(octets: Buffer): Buffer {
  return writeDer(TAG.octetString, octets);
}

/** An OBJECT IDENTIFIER from its dotted form. X.690 section 8.19. */
export function writeOid(dotted: string): Buffer {
  const [root = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return writeDer(TAG.oid, Buffer.from([root * 40 + second, ...rest].flatMap(base128)));
}

/** Whole seconds; UTCTime until 2049 and GeneralizedTime from 2050 on. RFC 5280 section 4.1.2.5. */
export function writeTime(timeMs: number): Buffer {
  const iso = new Date(timeMs).toISOString();
  // YYYY-MM-DDTHH:mm:ss.sssZ, taken apart by place: two regular expressions cost ten times as much for each certificate.
  const digits = `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 10)}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`;
  const isUtcTime = Number(digits.slice(0, 4)) < 2050;
  return isUtcTime
    ? writeDer(TAG.utcTime, Buffer.from(digits.slice(2), "latin1"))
    : writeDer(TAG.generalizedTime, Buffer.from(digits, "latin1"));
}

function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) octets.unshift(rest & 0xff);
  return [0x80 | octets.length, ...octets];
}

function base128(arc: number): readonly number[] {
  const octets = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) octets.unshift(0x80 | (rest % 128));
  return octets;
}
