import { createBodyReader } from "../../src/wire/http1-body.ts";
import {
  type HeadResult,
  parseRequestHead,
  parseResponseHead,
  serializeRequestHead,
  serializeResponseHead,
} from "../../src/wire/http1-head.ts";
import { normalizePath, type PathNormalization } from "../../src/wire/path.ts";
import { readRequests, readResponses, type Session } from "../support/http1-session.ts";
import type { SeededRandom } from "./random.ts";
import { countFields, decodeChunked, isRequestHead, isResponseHead } from "./reference.ts";

/** Throws when an input shows that the code under test is wrong; whatever that code throws counts, too. */
export type Check = (input: Buffer, random: SeededRandom) => void;

export function checkRequests(input: Buffer, random: SeededRandom): void {
  const head = parseRequestHead(input);
  assertHeadWithin(head, input, isRequestHead);
  if (head.at === "head") {
    assertSoundFraming(head.head.headers, head.head.framing.kind);
    assert(/^[^\s:a-z]+$/.test(head.head.method), "the method is no upper-case token");
    assertSameAgain(head, parseRequestHead(asVersion(head.head.minorVersion, serializeRequestHead(head.head))));
  }
  assertSplitChangesNothing(input, random, (pieces) => readRequests(pieces));
}

export function checkResponses(input: Buffer, random: SeededRandom): void {
  const method = random.pick(["GET", "GET", "HEAD", "CONNECT"]);
  const head = parseResponseHead(input, method);
  assertHeadWithin(head, input, isResponseHead);
  if (head.at === "head") {
    assertSoundFraming(head.head.headers, "none");
    assertSameAgain(
      head,
      parseResponseHead(asVersion(head.head.minorVersion, serializeResponseHead(head.head)), method),
    );
  }
  assertSplitChangesNothing(input, random, (pieces) => readResponses(pieces, [method]));
}

/** The decoder and the reference agree on whether a body is whole, on its payload and on where it ends. */
export function checkChunked(input: Buffer, random: SeededRandom): void {
  const reader = createBodyReader({ kind: "chunked" }, "request");
  const payload: Buffer[] = [];
  let consumed = 0;
  let end: string = "more";
  for (const piece of splitAtRandom(input, random)) {
    const reading = reader.feed(piece);
    end = reading.at;
    if (reading.at === "refused") break;
    payload.push(...reading.pieces);
    consumed += piece.length;
    if (reading.at === "more") continue;
    assert(
      piece.subarray(piece.length - reading.rest.length).equals(reading.rest),
      "the rest is no suffix of the input",
    );
    consumed -= reading.rest.length;
    break;
  }
  const expected = decodeChunked(input.toString("latin1"));
  assert((end === "end") === (expected !== null), `the body's end is ${end}, the reference differs`);
  if (expected === null) return;
  assert(Buffer.concat(payload).toString("latin1") === expected.payload, "the payload is not the reference's");
  assert(consumed === expected.bytes, "the body ends elsewhere than the reference's");
}

export function checkPath(input: Buffer, random: SeededRandom): void {
  const mode = random.pick<PathNormalization>(["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]);
  const once = normalizePath(input.toString("latin1"), mode);
  if (!once.ok) return;
  const again = normalizePath(once.path, mode);
  assert(again.ok && again.path === once.path, "normalising twice is not normalising once");
  assert(once.path.split("?", 1)[0] === once.pathForMatch, "another path is forwarded than is matched");
  if (mode === "NONE") return;
  assert(!/\/\.{1,2}(?:;[^/]*)?(?:\/|$)|[\\#\0]/.test(once.pathForMatch), "a dot segment or a backslash is left");
}

function assertHeadWithin<T>(result: HeadResult<T>, input: Buffer, isHead: (text: string) => boolean): void {
  if (result.at !== "head") return;
  assert(result.bytes > 0 && result.bytes <= input.length, "the head ends behind the input");
  assert(isHead(input.toString("latin1", 0, result.bytes)), "the reference's grammar does not take the head");
}

function assertSoundFraming(headers: readonly string[], kind: string): void {
  const lengths = countFields(headers, "content-length");
  const codings = countFields(headers, "transfer-encoding");
  assert(lengths + codings <= 1, "two framing fields were accepted");
  assert(countFields(headers, "host") <= 1, "two Hosts were accepted");
  if (kind === "chunked") assert(codings === 1, "chunked without a Transfer-Encoding");
  if (kind === "length") assert(lengths === 1, "a length without a Content-Length");
}

/** We write HTTP/1.1, whatever came; what a head of HTTP/1.0 means is to be compared in its own version. */
function asVersion(minorVersion: 0 | 1, head: Buffer): Buffer {
  return minorVersion === 1
    ? head
    : Buffer.from(head.toString("latin1").replace(/^HTTP\/1\.1|(?<= )HTTP\/1\.1(?=\r\n)/, "HTTP/1.0"), "latin1");
}

/** The heads' octets may differ by whitespace, their meaning may not. */
function assertSameAgain<T>(first: HeadResult<T>, again: HeadResult<T>): void {
  assert(first.at === "head" && again.at === "head", "a head that was accepted is refused once written again");
  assert(JSON.stringify(first.head) === JSON.stringify(again.head), "a head means something else once written again");
}

function assertSplitChangesNothing<Head>(
  input: Buffer,
  random: SeededRandom,
  read: (pieces: readonly Buffer[]) => Session<Head>,
): void {
  const whole = summaryOf(read([input]));
  assert(summaryOf(read(splitAtRandom(input, random))) === whole, "another split gives another result");
  if (input.length > 512 || random.below(8) !== 0) return;
  const octets = Array.from(input, (_, i) => input.subarray(i, i + 1));
  assert(summaryOf(read(octets)) === whole, "octet by octet gives another result");
}

function summaryOf<Head>(session: Session<Head>): string {
  const messages = session.messages.map((message) => ({ ...message, body: message.body.toString("latin1") }));
  const { end } = session;
  if (end.at === "refused") {
    // How much of an unfinished body was read before the fault depends on the split, and nobody keeps it.
    const whole = messages.filter((message) => message.isComplete);
    return JSON.stringify([whole, end.error.code, end.error.message]);
  }
  return JSON.stringify([messages, end.at, "rest" in end ? end.rest.toString("latin1") : end.isBetweenMessages]);
}

function splitAtRandom(input: Buffer, random: SeededRandom): Buffer[] {
  const cuts = Array.from({ length: random.below(4) }, () => random.below(input.length + 1)).toSorted((a, b) => a - b);
  const edges = [0, ...cuts, input.length];
  return edges.slice(1).map((end, i) => input.subarray(edges[i], end));
}

function assert(isTrue: boolean, message: string): asserts isTrue {
  if (!isTrue) throw new Error(message);
}
