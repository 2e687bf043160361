import { execFile } from "node:child_process";

export interface CurlAnswer {
  /** curl's own exit code; 0 when there was an answer, whatever it said. */
  readonly exitCode: number;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly stderr: string;
}

/** Runs the machine's curl, which is nobody's of ours. */
export function curl(...args: string[]): Promise<CurlAnswer> {
  return new Promise((resolve) => {
    execFile(
      "curl",
      ["-sS", "-i", "--max-time", "10", ...args],
      { maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const exitCode = typeof error?.code === "number" ? error.code : 0;
        resolve({ exitCode, stderr, ...parseAnswer(stdout) });
      },
    );
  });
}

function parseAnswer(text: string): Pick<CurlAnswer, "status" | "headers" | "body"> {
  // An answer to CONNECT, or a 100, stands before the one that counts.
  const start = text.search(/HTTP\/1\.1 (?!1\d\d)\d{3} (?!Connection [Ee]stablished)/);
  const answer = start < 0 ? text : text.slice(start);
  const end = answer.indexOf("\r\n\r\n");
  const [first = "", ...fields] = (end < 0 ? answer : answer.slice(0, end)).split("\r\n");
  const headers = Object.fromEntries(
    fields.map((field) => [
      field.slice(0, field.indexOf(":")).toLowerCase(),
      field.slice(field.indexOf(":") + 1).trim(),
    ]),
  );
  return { status: Number(first.split(" ")[1] ?? 0), headers, body: end < 0 ? "" : answer.slice(end + 4) };
}
