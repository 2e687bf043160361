import { Client } from "undici";
import { CardeaError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";

const CONNECT_TIMEOUT_MS = 1_000;
const LINE_LENGTH_MAX = 262_144;

export interface HttpLinesCall {
  readonly path: string;
  /** How long nothing may come. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
}

/**
 * The lines of an answer as they come, empty ones left out, until the other side ends it or the signal aborts. For our
 * admin endpoints. Errors: `unreachable`, also for an answer that is not 200, and for a line without end.
 */
export async function* readHttpLines(to: Address, { path, silenceMs, signal }: HttpLinesCall): AsyncGenerator<string> {
  const host = to.host.includes(":") ? `[${to.host}]` : to.host;
  const client = new Client(`http://${host}:${to.port}`, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
  });
  try {
    const { statusCode, body } = await client.request({ method: "GET", path, signal });
    if (statusCode !== 200) throw new Error(`it answers ${statusCode}: ${(await body.text()).trim().slice(0, 200)}`);
    body.setEncoding("utf8");
    let rest = "";
    for await (const text of body as AsyncIterable<string>) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LINE_LENGTH_MAX) throw new Error("a line has no end");
      yield* lines.filter((line) => line !== "");
    }
  } catch (error) {
    if (signal.aborted) return;
    const why = error instanceof Error ? error.message : String(error);
    throw new CardeaError("unreachable", `${host}:${to.port}${path}: ${why}`, error);
  } finally {
    await client.destroy();
  }
}
