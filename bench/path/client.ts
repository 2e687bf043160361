import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { keepUntilExit, runToEnd } from "./child.ts";
import type { Counted } from "./metrics.ts";
import { ALLOWED_PATH } from "./rules.ts";

const here = join(import.meta.dirname, "clients");
const TIMEOUT_EXTRA_MS = 20_000;

/** wrk with one thread: each connection asks again as soon as it has its answer. Errors: when it fails. */
export async function runWrk(
  port: number,
  options: { readonly connections: number; readonly bodyBytes: number; readonly seconds: number },
): Promise<Counted> {
  const { connections, bodyBytes, seconds } = options;
  const script = join(here, "closed-loop.lua");
  const words = ["-t1", `-c${connections}`, `-d${seconds}s`, "-s", script, `http://127.0.0.1:${port}`];
  const timeoutMs = seconds * 1_000 + TIMEOUT_EXTRA_MS;
  return lastLine(
    await runToEnd(process.env["WRK"] ?? "wrk", [...words, "--", ALLOWED_PATH, String(bodyBytes)], timeoutMs),
  );
}

/** A client of ours; `words` are its own. Errors: when it fails, or takes much longer than its seconds. */
export async function runClient(name: string, words: readonly (string | number)[], seconds: number): Promise<Counted> {
  const all = [join(here, `${name}.ts`), ...words.map(String)];
  return lastLine(await runToEnd(process.execPath, all, seconds * 1_000 + TIMEOUT_EXTRA_MS));
}

/** A client that says its numbers and stays; `whileItStays` is called then. Errors: when it ends without a word. */
export async function holdClient<T>(
  name: string,
  words: readonly (string | number)[],
  whileItStays: (counted: Counted) => T,
): Promise<T> {
  const child = spawn(process.execPath, [join(here, `${name}.ts`), ...words.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  keepUntilExit(child);
  const ended = once(child, "exit");
  try {
    const said = await Promise.race([
      once(createInterface({ input: child.stdout }), "line"),
      ended.then(([code]) => Promise.reject(new Error(`the client ${name} ended with ${String(code)}`))),
    ]);
    return whileItStays(JSON.parse(String(said[0])) as Counted);
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

function lastLine(printed: string): Counted {
  return JSON.parse(printed.trim().split("\n").at(-1)!) as Counted;
}
