import { Client } from "undici";
import { CardeaError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";

export interface HttpCall {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Until the answer is whole. */
  readonly timeoutMs: number;
  readonly answerBytesMax?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const HEAD_BYTES_MAX = 16 * 1024;
/** All that we call is on this machine: who does not take the connection at once will not. */
const CONNECT_TIMEOUT_MS = 1_000;

/**
 * One plain HTTP request on a connection of its own: for our admin endpoints and the sample traffic, never for the
 * data path, and not loaded by a sidecar. An answer of any status is an answer; redirects are not followed.
 * Errors: `unreachable`.
 */
export async function callHttp(to: Address, call: HttpCall): Promise<HttpAnswer> {
  const { method = "GET", path, headers = {}, body = null, timeoutMs } = call;
  const client = openClient(to, call);
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await client.request({ method, path, headers: { ...headers }, body, signal });
    return { status: answer.statusCode, headers: answer.headers, body: await answer.body.text() };
  } catch (error) {
    const why = describeFailure(error as Error, call);
    throw new CardeaError("unreachable", `${to.host}:${to.port}${path} does not answer: ${why}`, error);
  } finally {
    // Nothing more will be asked: no kept connection holds the other side's shutdown up.
    await client.destroy();
  }
}

function openClient(to: Address, { timeoutMs, answerBytesMax = ANSWER_BYTES_MAX }: HttpCall): Client {
  const host = to.host.includes(":") ? `[${to.host}]` : to.host;
  return new Client(`http://${host}:${to.port}`, {
    connectTimeout: Math.min(CONNECT_TIMEOUT_MS, timeoutMs),
    headersTimeout: timeoutMs,
    // Between two pieces; the whole has its time from the request's signal.
    bodyTimeout: timeoutMs,
    maxHeaderSize: HEAD_BYTES_MAX,
    maxResponseSize: answerBytesMax,
  });
}

function describeFailure(error: Error, { timeoutMs }: HttpCall): string {
  return error.name === "TimeoutError" ? `not within ${timeoutMs} ms` : error.message;
}
