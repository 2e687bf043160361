import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { EXPORT_TRACES } from "../../api/otlp-messages.ts";
import type { OtlpOutcome, OtlpSender } from "../../core/otlp-endpoint.ts";
import type { Clock } from "../../core/ports.ts";

/** OTLP/gRPC: the request's bytes as they are. opentelemetry.io/docs/specs/otlp, "OTLP/gRPC". */
export function openOtlpGrpc(address: string, clock: Clock): OtlpSender {
  const url = new URL(address);
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  const secure = url.protocol === "https:" ? credentials.createSsl() : credentials.createInsecure();
  const client = new Client(`${url.hostname}:${port}`, secure);
  return {
    send: (request, timeoutMs) =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          EXPORT_TRACES,
          (bytes: Buffer) => bytes,
          (bytes) => bytes,
          request,
          new Metadata(),
          { deadline: clock.wallMs() + timeoutMs },
          (error) => resolve(outcomeOf(error)),
        );
      }),
    async close() {
      client.close();
    },
  };
}

function outcomeOf(error: ServiceError | null): OtlpOutcome {
  if (error === null) return { at: "taken" };
  return { at: "failed", isForGood: !RETRYABLE.has(error.code), why: error.details };
}

/** By OTLP's table; what nobody said has been a connection that broke. */
const RETRYABLE: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
  status.UNKNOWN,
]);
