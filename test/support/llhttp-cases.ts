import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** One message as llhttp's log tells it. */
export interface RecordedMessage {
  readonly method: string | null;
  readonly url: string | null;
  readonly status: number | null;
  /** Fields and trailers in their order: name, value, name, value; without whitespace behind the values, as ours. */
  readonly fields: readonly string[];
  readonly bodyBytes: number;
  readonly isComplete: boolean;
}

/** One case of llhttp's markdown: an input and what llhttp makes of it. */
export interface LlhttpCase {
  /** `request/invalid.md: Headers separated by CR`, with ` #2` where a heading comes again. */
  readonly name: string;
  readonly side: "request" | "response";
  /** Switches of llhttp that the case turns on: `lenient-headers`, `finish`, `skipBody` … */
  readonly switches: readonly string[];
  readonly input: Buffer;
  /** llhttp's error code and reason, null when it accepts. Pausing for an upgrade is no error. */
  readonly error: string | null;
  readonly messages: readonly RecordedMessage[];
}

/** Reads every case below a folder that holds llhttp's `request` and `response` markdown. */
export function readLlhttpCases(folder: string): LlhttpCase[] {
  return (["request", "response"] as const).flatMap((side) =>
    readdirSync(join(folder, side))
      .toSorted()
      .flatMap((file) => casesOf(side, join(folder, side, file))),
  );
}

/** Most of llhttp's requests lack Host, which alone gets them refused; with one, the rest is put to the test as well. */
export function withHost(each: LlhttpCase): LlhttpCase {
  if (each.side === "response") return each;
  const text = each.input.toString("latin1");
  const input = text.replace(/(?<=^|\r\n)[A-Z-]+ \S+ HTTP\/1\.1\r\n/g, (line, at: number) => {
    const head = text.slice(at).split("\r\n\r\n", 1)[0]!;
    return /\r\nhost:/i.test(head) ? line : `${line}Host: corpus.example\r\n`;
  });
  return { ...each, input: Buffer.from(input, "latin1") };
}

// Between the two blocks there may be a remark, but no other block.
const CASE =
  /<!-- meta=(?<meta>\{.*?\}) -->\s*```http\n(?<input>(?:(?!```).)*)```(?:(?!```).)*```log\n(?<log>(?:(?!```).)*)```/gs;

function casesOf(side: LlhttpCase["side"], file: string): LlhttpCase[] {
  const text = readFileSync(file, "utf8");
  const seen = new Map<string, number>();
  return Array.from(text.matchAll(CASE), (match) => {
    const { meta, input, log } = match.groups as { meta: string; input: string; log: string };
    const title = `${side}/${basename(file)}: ${lastHeadingIn(text.slice(0, match.index))}`;
    const times = (seen.get(title) ?? 0) + 1;
    seen.set(title, times);
    return {
      name: times === 1 ? title : `${title} #${times}`,
      side,
      switches: switchesOf(meta),
      input: Buffer.from(unescape(input), "utf8"),
      ...readLog(log),
    };
  });
}

function lastHeadingIn(text: string): string {
  const headings = [...text.matchAll(/^#+ +(.+)$/gm)];
  return headings.at(-1)?.[1]?.trim() ?? "";
}

function switchesOf(meta: string): string[] {
  const parsed = JSON.parse(meta) as { type: string; skipBody?: boolean };
  const type = parsed.type.replace(/^(request|response)-?/, "");
  return [...(type === "" ? [] : [type]), ...(parsed.skipBody === true ? ["skipBody"] : [])];
}

/** The conventions of llhttp's own runner (test/md-test.ts), in its order: lines end in CRLF, `\r` and `\n` are octets. */
function unescape(block: string): string {
  return block
    .replace(/\n$/, "")
    .replace(/\\(\r\n|\r|\n)/g, "")
    .replace(/\r\n|\r|\n/g, "\r\n")
    .replaceAll("\\r", "\r")
    .replaceAll("\\n", "\n")
    .replaceAll("\\t", "\t")
    .replaceAll("\\f", "\f")
    .replace(/\\x([0-9a-fA-F]+)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/\\([0-7]{1,3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Codes of llhttp that are no refusal: paused, and paused for CONNECT, an upgrade or the HTTP/2 preface. */
const PAUSES = new Set([21, 22, 23]);

interface DraftMessage {
  method: string | null;
  url: string | null;
  status: number | null;
  fields: string[];
  bodyBytes: number;
  isComplete: boolean;
}

function readLog(log: string): Pick<LlhttpCase, "error" | "messages"> {
  const messages: DraftMessage[] = [];
  let error: string | null = null;
  for (const line of log.replaceAll("\\t", "\t").replaceAll("\\f", "\f").split("\n")) {
    if (line.endsWith("message begin")) messages.push(emptyMessage());
    const failure = /error code=(\d+) reason="(.*)"$/.exec(line);
    if (failure !== null && !PAUSES.has(Number(failure[1]))) error = `${failure[1]} ${failure[2]}`;
    if (line.endsWith("finish=2")) error = "the connection ended inside a message";
    const message = messages.at(-1);
    if (message !== undefined) readLine(message, line);
  }
  for (const message of messages) message.fields = message.fields.map((text) => text.replace(/[ \t]+$/, ""));
  return { error, messages };
}

function readLine(message: DraftMessage, line: string): void {
  const span = /len=(\d+) span\[(\w+)\]=(?:"(.*)"|cr|lf)$/.exec(line);
  if (span !== null) readSpan(message, span[2]!, span[3] ?? "", Number(span[1]));
  else if (line.endsWith("header_field complete")) message.fields.push("");
  else if (line.endsWith("message complete") || line.endsWith("finish=1")) message.isComplete = true;
  const status = /headers complete status=(\d+)/.exec(line);
  if (status !== null) message.status = Number(status[1]);
}

function readSpan(message: DraftMessage, name: string, value: string, length: number): void {
  if (name === "method") message.method = value;
  else if (name === "url") message.url = (message.url ?? "") + value;
  else if (name === "body") message.bodyBytes += length;
  else if (name === "header_field") message.fields.push(value);
  else if (name === "header_value") message.fields[message.fields.length - 1] += toLatin1(value);
}

/** The markdown is UTF-8, heads are octets. */
function toLatin1(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function emptyMessage(): DraftMessage {
  return { method: null, url: null, status: null, fields: [], bodyBytes: 0, isComplete: false };
}
