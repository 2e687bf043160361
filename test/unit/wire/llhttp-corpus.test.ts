import { describe, expect, test } from "vitest";
import { corpusPath } from "../../support/corpus.ts";
import { readRequests, readResponses, type Session } from "../../support/http1-session.ts";
import { type LlhttpCase, readLlhttpCases, withHost } from "../../support/llhttp-cases.ts";
import { contentDeviations, missingHost, verdictDeviations } from "./llhttp-deviations.ts";

const folder = corpusPath("http1-cases");
const cases = folder === null ? [] : readLlhttpCases(folder);

describe.skipIf(folder === null)("llhttp's cases (skipped when the shared corpus is absent)", () => {
  test("there are as many cases as the corpus had when the tables were written", () => {
    expect(cases).toHaveLength(251);
    expect(new Set(cases.map((each) => each.name)).size).toBe(251);
  });

  test("every case is refused or accepted as llhttp does, or is listed with our reason", () => {
    const differing = cases.filter((each) => isRefused(withHost(each)) !== (each.error !== null));
    expect(tableOf(differing, withHost)).toEqual(flatten(verdictDeviations));
  });

  test("whatever llhttp refuses by default, and a strict proxy must, we refuse once the head is whole", () => {
    const accepted = cases.filter((each) => each.error !== null && !isRefused(completed(withHost(each))));
    expect(accepted.map((each) => each.name).toSorted()).toEqual([
      // Methods that only RTSP registers, and one that nobody does, are tokens: policies decide about them.
      "request/invalid.md: HTTP protocol and ANNOUNCE method",
      "request/invalid.md: Invalid method",
    ]);
  });

  test("requests without a Host are refused for that alone, and the list of them is whole", () => {
    const differing = cases.filter((each) => isRefused(each) !== isRefused(withHost(each)));
    expect(differing.map((each) => each.name).toSorted()).toEqual(missingHost.toSorted());
    expect(new Set(differing.map(faultOf))).toEqual(new Set(["bad-request: there is no Host field"]));
  });

  test("what both accept, both understand alike, or it is listed", () => {
    const both = cases.filter((each) => each.error === null && !isRefused(withHost(each)));
    expect(both.length).toBeGreaterThan(90);
    const differing = both.filter((each) => JSON.stringify(ourView(each)) !== JSON.stringify(theirView(each)));
    expect(differing.map((each) => each.name).toSorted()).toEqual(Object.keys(contentDeviations).toSorted());
  });

  test.each(cases)("$name has one verdict, octet by octet as in one piece", (each) => {
    const octets = Array.from(each.input, (octet) => Buffer.from([octet]));
    expect(verdictOf(each, octets)).toEqual(verdictOf(each, [each.input]));
  });
});

function session(each: LlhttpCase, pieces: readonly Buffer[] = [each.input]): Session<object> {
  const hasEnded = each.switches.includes("finish");
  if (each.side === "request") return readRequests(pieces, hasEnded);
  // For llhttp, a body that the caller skips is what the answer to HEAD is for us.
  return readResponses(pieces, [each.switches.includes("skipBody") ? "HEAD" : "GET"], hasEnded);
}

/** Why we would answer 400 or drop the connection, or null. */
function faultOf(each: LlhttpCase): string | null {
  const { end } = session(each);
  if (end.at === "refused") return `${end.error.code}: ${end.error.message}`;
  if (end.at === "closed" && /[^\r\n]/.test(end.rest.toString("latin1")))
    return "there is data behind a message that closes";
  const isCutOff = end.at === "open" && !end.isBetweenMessages && each.switches.includes("finish");
  return isCutOff ? "the connection ended inside a head" : null;
}

function isRefused(each: LlhttpCase): boolean {
  return faultOf(each) !== null;
}

function verdictOf(each: LlhttpCase, pieces: readonly Buffer[]): unknown {
  const { messages, end } = session(each, pieces);
  if (end.at === "refused") return { code: end.error.code, message: end.error.message };
  return { messages, end };
}

/** Two of llhttp's faults stand in a head that is not finished; we read the fields once it is. */
function completed(each: LlhttpCase): LlhttpCase {
  const { end } = session(each);
  if (end.at !== "open" || end.isBetweenMessages) return each;
  return { ...each, input: Buffer.concat([each.input, Buffer.from("\r\n\r\n")]) };
}

function tableOf(differing: readonly LlhttpCase[], variant: (each: LlhttpCase) => LlhttpCase): Record<string, string> {
  return Object.fromEntries(differing.map((each) => [each.name, faultOf(variant(each)) ?? "accepted"]));
}

function flatten(table: typeof verdictDeviations): Record<string, string> {
  return Object.fromEntries(table.flatMap((group) => group.cases.map((name) => [name, group.ours])));
}

function ourView(each: LlhttpCase): unknown {
  return session(withHost(each)).messages.map((message) => {
    const head = message.head as { method?: string; target?: string; status?: number; headers: string[] };
    const hasOurHost = head.headers[1] === "corpus.example";
    return {
      method: head.method ?? null,
      url: head.target ?? null,
      status: head.status ?? null,
      fields: [...head.headers.slice(hasOurHost ? 2 : 0), ...message.trailers],
      bodyBytes: message.body.length,
      isComplete: message.isComplete,
    };
  });
}

/** llhttp also logs the beginning of a head that is not whole; a session knows whole heads alone. */
function theirView(each: LlhttpCase): unknown {
  const hasWholeHeads = session(withHost(each)).messages.length;
  return each.messages.slice(0, Math.max(hasWholeHeads, each.messages.filter((message) => message.isComplete).length));
}
