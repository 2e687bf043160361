import type { SeededRandom } from "./random.ts";

/** Octets that decide something in HTTP/1.1, or that sloppy parsers confuse with those. */
const TELLING_OCTETS = Buffer.from('\r\n\0 \t:,;="\\/?#@%*0129afAF+-_.\x0b\x0c\x1f\x7f\x80\x85\xa0\xff', "latin1");

const TELLING_TEXTS = [
  "\r\n",
  "\r\n\r\n",
  "\r\n ",
  "\n\n",
  "0\r\n\r\n",
  "5\r\nhello\r\n",
  "5;a=b\r\n",
  ';a="b"',
  "HTTP/1.1",
  "HTTP/1.0",
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "Host: b\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Content_Length: 5\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: identity\r\n",
  "Transfer-Encoding : chunked\r\n",
  "Connection: close\r\n",
  "Connection: keep-alive, x-a\r\n",
  "Connection: host\r\n",
  "Connection: upgrade\r\nUpgrade: websocket\r\n",
  "Expect: 100-continue\r\n",
  "chunked",
  ", chunked",
  "http://a/",
  "%00",
  "%2f",
  "..;",
  "18446744073709551616",
  "9007199254740992",
].map((text) => Buffer.from(text, "latin1"));

const INPUT_BYTES_MAX = 4_096;

/** One to six small changes; now and then none at all. */
export function mutate(seed: Buffer, others: readonly Buffer[], random: SeededRandom): Buffer {
  let input = seed;
  for (let left = random.below(7); left > 0; left--) input = random.pick(MUTATIONS)(input, random, others);
  return input.subarray(0, INPUT_BYTES_MAX);
}

type Mutation = (input: Buffer, random: SeededRandom, others: readonly Buffer[]) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  insertOctet,
  insertOctet,
  insertText,
  insertText,
  replaceOctet,
  flipBit,
  removeRange,
  repeatRange,
  repeatLine,
  removeLine,
  swapLines,
  splice,
  truncate,
  stretch,
];

function insertOctet(input: Buffer, random: SeededRandom): Buffer {
  return insert(input, random.below(input.length + 1), Buffer.of(random.pick([...TELLING_OCTETS])));
}

function insertText(input: Buffer, random: SeededRandom): Buffer {
  // Half of them at the beginning of a line, where whole fields mean something.
  const at = random.below(2) === 0 ? random.below(input.length + 1) : lineStart(input, random);
  return insert(input, at, random.pick(TELLING_TEXTS));
}

function replaceOctet(input: Buffer, random: SeededRandom): Buffer {
  const changed = Buffer.from(input);
  if (changed.length > 0) changed[random.below(changed.length)] = random.pick([...TELLING_OCTETS]);
  return changed;
}

function flipBit(input: Buffer, random: SeededRandom): Buffer {
  const changed = Buffer.from(input);
  if (changed.length > 0) changed[random.below(changed.length)]! ^= 1 << random.below(8);
  return changed;
}

function removeRange(input: Buffer, random: SeededRandom): Buffer {
  const start = random.below(input.length + 1);
  return Buffer.concat([input.subarray(0, start), input.subarray(start + 1 + random.below(8))]);
}

function repeatRange(input: Buffer, random: SeededRandom): Buffer {
  const start = random.below(input.length + 1);
  const range = input.subarray(start, start + 1 + random.below(32));
  return insert(input, random.below(input.length + 1), range);
}

function repeatLine(input: Buffer, random: SeededRandom): Buffer {
  const start = lineStart(input, random);
  return insert(input, lineStart(input, random), input.subarray(start, lineEnd(input, start)));
}

function removeLine(input: Buffer, random: SeededRandom): Buffer {
  const start = lineStart(input, random);
  return Buffer.concat([input.subarray(0, start), input.subarray(lineEnd(input, start))]);
}

function swapLines(input: Buffer, random: SeededRandom): Buffer {
  const start = lineStart(input, random);
  const middle = lineEnd(input, start);
  const end = lineEnd(input, middle);
  const pieces = [[0, start], [middle, end], [start, middle], [end]] as const;
  return Buffer.concat(pieces.map(([from, to]) => input.subarray(from, to)));
}

function splice(input: Buffer, random: SeededRandom, others: readonly Buffer[]): Buffer {
  const other = random.pick(others);
  return Buffer.concat([input.subarray(0, random.below(input.length + 1)), other.subarray(random.below(other.length))]);
}

function truncate(input: Buffer, random: SeededRandom): Buffer {
  return input.subarray(0, random.below(input.length + 1));
}

/** One octet many times over: for the limits on lines. */
function stretch(input: Buffer, random: SeededRandom): Buffer {
  const at = random.below(input.length + 1);
  return insert(input, at, Buffer.alloc(random.below(2_048), input[at] ?? 0x61));
}

function insert(input: Buffer, at: number, inserted: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, at), inserted, input.subarray(at)]);
}

function lineStart(input: Buffer, random: SeededRandom): number {
  return input.lastIndexOf("\n", random.below(input.length + 1)) + 1;
}

function lineEnd(input: Buffer, start: number): number {
  const end = input.indexOf("\n", start);
  return end < 0 ? input.length : end + 1;
}
