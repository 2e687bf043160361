import { request } from "node:http";
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

/**
 * One plain HTTP request on a connection of its own: for our admin endpoints and the sample traffic, never for the
 * data path. Errors: `unreachable`.
 */
export function callHttp(to: Address, call: HttpCall): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => {
      reject(
        new CardeaError("unreachable", `${to.host}:${to.port}${call.path} does not answer: ${cause.message}`, cause),
      );
    };
    const outgoing = request({
      host: to.host,
      port: to.port,
      method: call.method ?? "GET",
      path: call.path,
      headers: { ...call.headers },
      agent: false,
      signal: AbortSignal.timeout(call.timeoutMs),
    });
    outgoing.once("error", fail);
    outgoing.once("response", (incoming) => {
      const pieces: Buffer[] = [];
      let bytes = 0;
      incoming.on("data", (piece: Buffer) => {
        bytes += piece.length;
        if (bytes > (call.answerBytesMax ?? ANSWER_BYTES_MAX)) outgoing.destroy(new Error("the answer is too long"));
        else pieces.push(piece);
      });
      incoming.once("error", fail);
      incoming.once("end", () => {
        const body = Buffer.concat(pieces).toString("utf8");
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body });
      });
    });
    outgoing.end(call.body);
  });
}
