import { LIMITS } from "../core/limits.ts";
import { parseJson, unreachable } from "./kube-errors.ts";

/** A body of JSON values, one a line, as watches have it. Errors: `unreachable` for what is no JSON, or too long. */
export async function* readJsonLines(body: AsyncIterable<Buffer>, path: string): AsyncGenerator {
  let pieces: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    let begin = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, begin)) {
      const line = Buffer.concat([...pieces, chunk.subarray(begin, end)]).toString("utf8");
      pieces = [];
      bytes = 0;
      begin = end + 1;
      if (line.trim() !== "") yield parseJson(line, path);
    }
    pieces.push(chunk.subarray(begin));
    bytes += chunk.length - begin;
    if (bytes > LIMITS.kubeEventBytesMax) throw unreachable(`${path}: an event of more than ${bytes} bytes`);
  }
  // A line that was cut off was never said: the watch goes on from the one before it.
}

const NEWLINE = 0x0a;
