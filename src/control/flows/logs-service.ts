import { Metadata, type sendUnaryData, type ServerUnaryCall, type ServiceDefinition, status } from "@grpc/grpc-js";
import { EXPORT_LOGS, EXPORT_LOGS_RESPONSE } from "../../api/otlp-messages.ts";
import { type CardeaError, ERROR_TABLE, toCardeaError } from "../../core/errors.ts";
import type { Logger } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { GrpcService } from "../grpc-server.ts";
import type { Collected } from "./collect.ts";
import type { OpenFlowStore } from "./open-store.ts";

/** Is told of what came, and of its end. */
export interface FlowObserver {
  stored(flows: number): void;
  rejected(flows: number): void;
}

export interface LogsServiceOptions {
  readonly store: Pick<OpenFlowStore, "export">;
  /** The identity of the call's verified client certificate, or null. */
  callerOf(call: { readonly metadata: Metadata }): SpiffeId | null;
  readonly observer?: FlowObserver;
  readonly logger: Logger;
}

type ExportCall = ServerUnaryCall<Buffer, Collected>;

/**
 * `opentelemetry.proto.collector.logs.v1.LogsService`. Requests go to the store's thread as they came: they are read there.
 * opentelemetry.io/docs/specs/otlp, "OTLP/gRPC response".
 */
export function createLogsService(options: LogsServiceOptions): GrpcService {
  const { store, observer, logger } = options;
  return {
    definition: DEFINITION,
    handlers: {
      Export: (call: ExportCall, answer: sendUnaryData<Collected>): void => {
        const sender = options.callerOf(call);
        if (sender === null) return answer(STRANGER);
        store.export(call.request, sender).then(
          (collected) => {
            observer?.stored(collected.accepted);
            observer?.rejected(collected.rejected);
            if (collected.rejected > 0) tellRejected(logger, sender, collected);
            answer(null, collected);
          },
          (thrown: unknown) => answer(failureOf(toCardeaError(thrown))),
        );
      },
    },
  };
}

const DEFINITION: ServiceDefinition = {
  Export: {
    path: EXPORT_LOGS,
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: ({ rejected, why }: Collected) =>
      EXPORT_LOGS_RESPONSE.serialize({
        partialSuccess: rejected === 0 ? null : { rejectedLogRecords: rejected, errorMessage: why },
      }),
    responseDeserialize: (bytes: Buffer) => bytes,
  },
};

const STRANGER = {
  code: status.UNAUTHENTICATED,
  details: "flow records are taken from whoever shows a certificate of the mesh",
  metadata: new Metadata(),
};

/** A forged record is a matter for people: a sidecar never tells of others' flows. */
function tellRejected(logger: Logger, sender: SpiffeId, { rejected, why }: Collected): void {
  logger.log("warn", "flows-rejected", { spiffeId: sender, count: rejected, reason: why });
}

function failureOf({ code, message }: CardeaError) {
  // OTLP: a sender tries again after these, and never after what is wrong with the request itself.
  const isForGood = code === "bad-input";
  return {
    code: isForGood ? status.INVALID_ARGUMENT : status.UNAVAILABLE,
    details: code === "internal" ? ERROR_TABLE[code].meaning : message,
  };
}
