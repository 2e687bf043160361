import { Client } from "undici";
import type { OtlpOutcome, OtlpSender } from "../core/otlp-endpoint.ts";

const CONNECT_TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 65_536;

/** OTLP/HTTP with protobuf: requests are posted to the address. opentelemetry.io/docs/specs/otlp, "OTLP/HTTP". */
export function openOtlpHttp(address: string): OtlpSender {
  const url = new URL(address);
  const client = new Client(url.origin, {
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxResponseSize: ANSWER_BYTES_MAX,
  });
  return {
    async send(request, timeoutMs) {
      try {
        const { statusCode, body } = await client.request({
          method: "POST",
          path: url.pathname,
          headers: { "content-type": "application/x-protobuf" },
          body: request,
          signal: AbortSignal.timeout(timeoutMs),
        });
        await body.dump();
        return outcomeOf(statusCode);
      } catch (error) {
        return { at: "failed", isForGood: false, why: (error as Error).message };
      }
    },
    close: () => client.destroy(),
  };
}

/** What may go better another time is 429, 502, 503 and 504, and nothing else. */
function outcomeOf(status: number): OtlpOutcome {
  if (status >= 200 && status < 300) return { at: "taken" };
  return { at: "failed", isForGood: ![429, 502, 503, 504].includes(status), why: `it answers ${status}` };
}
