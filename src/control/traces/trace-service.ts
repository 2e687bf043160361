import { Metadata, type sendUnaryData, type ServerUnaryCall, type ServiceDefinition, status } from "@grpc/grpc-js";
import { EXPORT_TRACES, EXPORT_TRACES_REQUEST, EXPORT_TRACES_RESPONSE } from "../../api/otlp-messages.ts";
import { toCardeaError } from "../../core/errors.ts";
import type { Logger } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { GrpcService } from "../grpc-server.ts";
import type { SpanForwarder, SpanObserver } from "./span-forwarder.ts";

export interface TraceServiceOptions {
  readonly forwarder: Pick<SpanForwarder, "add">;
  /** The identity of the call's verified client certificate, or null. */
  callerOf(call: { readonly metadata: Metadata }): SpiffeId | null;
  readonly observer: SpanObserver;
  readonly logger: Logger;
}

type ExportCall = ServerUnaryCall<Buffer, Buffer>;

/** The resource attribute by which a sidecar says whose it is. */
const PRINCIPAL = "cardea.principal";

/**
 * `opentelemetry.proto.collector.trace.v1.TraceService` for sidecars: what they send goes on as it came, if its resource names
 * the identity that they have proved. A forged span would put words into somebody else's mouth.
 */
export function createTraceService(options: TraceServiceOptions): GrpcService {
  const { forwarder, observer, logger } = options;
  return {
    definition: DEFINITION,
    handlers: {
      Export: (call: ExportCall, answer: sendUnaryData<Buffer>): void => {
        const sender = options.callerOf(call);
        if (sender === null)
          return answer(failed(status.UNAUTHENTICATED, "spans are taken from who shows a certificate"));
        const read = readRequest(call.request, sender);
        if (typeof read === "string") {
          logger.log("warn", "spans-rejected", { spiffeId: sender, reason: read });
          observer.dropped("rejected", 1);
          return answer(failed(status.INVALID_ARGUMENT, read));
        }
        if (forwarder.add(call.request, read.spans)) answer(null, EXPORT_TRACES_RESPONSE.serialize({}));
        else answer(failed(status.UNAVAILABLE, "too many spans wait for the collector outside"));
      },
    },
  };
}

/** What is wrong with it, or how many spans there are. */
function readRequest(bytes: Buffer, sender: SpiffeId): string | { readonly spans: number } {
  try {
    const { resourceSpans } = EXPORT_TRACES_REQUEST.deserialize(bytes);
    let spans = 0;
    for (const { resource, scopeSpans } of resourceSpans) {
      const said = resource?.attributes.filter(({ key }) => key === PRINCIPAL).map(({ value }) => value?.stringValue);
      if (said?.length !== 1 || said[0] !== sender) return "the resource is not its sender's";
      for (const scope of scopeSpans) spans += scope.spans.length;
    }
    return { spans };
  } catch (thrown) {
    return toCardeaError(thrown).message;
  }
}

const DEFINITION: ServiceDefinition = {
  Export: {
    path: EXPORT_TRACES,
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
};

function failed(code: status, details: string) {
  return { code, details, metadata: new Metadata() };
}
