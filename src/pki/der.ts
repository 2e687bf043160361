import { CardeaError } from "../core/errors.ts";

/** Identifier octets that X.509 and PKCS#10 use. ITU-T X.690 section 8.1.2. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** `[number]`, primitive: IMPLICIT over a primitive type. */
export function contextTag(number: number): number {
  return 0x80 | number;
}

/** `[number]`, constructed: EXPLICIT, or IMPLICIT over a SEQUENCE or SET. */
export function constructedContextTag(number: number): number {
  return 0xa0 | number;
}

/** One value. Both buffers are views of what was read. */
export interface DerValue {
  readonly tag: number;
  readonly content: Buffer;
  /** Identifier, length and content: what a signature covers. */
  readonly bytes: Buffer;
}

/**
 * Reads one value that fills the buffer to its last byte, and by the distinguished rules alone: definite lengths in
 * their shortest form (X.690 sections 10.1 and 8.1.3). Errors: `der-invalid`.
 */
export function readDer(bytes: Buffer, tag?: number): DerValue {
  const value = readValueAt(bytes, 0);
  if (value.bytes.length !== bytes.length) throw derInvalid(`${bytes.length - value.bytes.length} bytes follow it`);
  if (tag !== undefined) assertTag(value, tag);
  return value;
}

/** Walks the values inside a constructed one, in order; nothing may be left over. */
export class DerSequence {
  readonly #content: Buffer;
  #offset = 0;

  constructor(content: Buffer) {
    this.#content = content;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#content.length;
  }

  /** The next value. Errors: `der-invalid` when there is none or it has another tag. */
  next(tag?: number): DerValue {
    const value = readValueAt(this.#content, this.#offset);
    if (tag !== undefined) assertTag(value, tag);
    this.#offset += value.bytes.length;
    return value;
  }

  /** The next value when it has this tag, else null and nothing is consumed. Errors: `der-invalid`. */
  nextIf(tag: number): DerValue | null {
    return !this.isAtEnd && this.#content[this.#offset] === tag ? this.next() : null;
  }

  /** Errors: `der-invalid` when something is left. */
  end(): void {
    if (!this.isAtEnd) throw derInvalid("it has more elements than its type");
  }
}

/** The elements of a SEQUENCE (or of another constructed value whose tag is given). Errors: `der-invalid`. */
export function openSequence(value: DerValue, tag: number = TAG.sequence): DerSequence {
  assertTag(value, tag);
  return new DerSequence(value.content);
}

/** All elements of a SEQUENCE OF or SET OF. Errors: `der-invalid`. */
export function readElements(value: DerValue, tag: number = TAG.sequence): readonly DerValue[] {
  const sequence = openSequence(value, tag);
  const elements: DerValue[] = [];
  while (!sequence.isAtEnd) elements.push(sequence.next());
  return elements;
}

export function derInvalid(why: string): CardeaError {
  return new CardeaError("der-invalid", `the DER value is malformed: ${why}`);
}

function readValueAt(bytes: Buffer, offset: number): DerValue {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw derInvalid("it ends early");
  // Tag numbers above 30 take more octets; no type that we read has one.
  if ((tag & 0x1f) === 0x1f) throw derInvalid("its tag number is above 30");
  const lengthOctets = first < 0x80 ? 0 : first & 0x7f;
  const start = offset + 2 + lengthOctets;
  const length = lengthOctets === 0 ? first : readLongLength(bytes, offset + 2, first);
  if (start + length > bytes.length) throw derInvalid("its length goes beyond its end");
  return { tag, content: bytes.subarray(start, start + length), bytes: bytes.subarray(offset, start + length) };
}

function readLongLength(bytes: Buffer, at: number, first: number): number {
  const octets = first & 0x7f;
  if (first === 0x80) throw derInvalid("its length is indefinite");
  // Four octets are 4 GiB: far beyond every limit, and still exact as a number.
  if (octets > 4) throw derInvalid("its length has more than four octets");
  if (at + octets > bytes.length) throw derInvalid("it ends early");
  const length = bytes.readUIntBE(at, octets);
  if (bytes[at] === 0 || length < 0x80) throw derInvalid("its length is not in the shortest form");
  return length;
}

function assertTag(value: DerValue, tag: number): void {
  if (value.tag !== tag) throw derInvalid(`tag 0x${value.tag.toString(16)} stands where 0x${tag.toString(16)} belongs`);
}
