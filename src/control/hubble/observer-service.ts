import {
  type Metadata,
  type MethodDefinition,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  status,
} from "@grpc/grpc-js";
import {
  GET_FLOWS_RESPONSE,
  GET_NAMESPACES_RESPONSE,
  GET_NODES_RESPONSE,
  type HubbleResponse,
  OBSERVER_API,
  SERVER_STATUS_RESPONSE,
} from "../../api/hubble-messages.ts";
import { CardeaError, type ErrorCode, ERROR_TABLE, toCardeaError } from "../../core/errors.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Address } from "../../core/ports.ts";
import type { FlowQueries, ReadableNamespaces } from "../flows/query.ts";
import type { GrpcService } from "../grpc-server.ts";
import { parseFlowsRequest } from "./flows-request.ts";
import { type FlowsStream, getFlows } from "./get-flows.ts";
import {
  type FactsSources,
  type Namespaces,
  namespaces,
  type Nodes,
  nodes,
  type ServerStatus,
  serverStatus,
} from "./observer-facts.ts";

type Call = { readonly metadata: Metadata };

export interface ObserverOptions extends FactsSources {
  readonly queries: FlowQueries;
  /** Which namespaces the caller may read; null: it may read none. */
  readableBy(call: Call): ReadableNamespaces | null;
  /** Where it is served. */
  at(): Address;
  readonly isSecured: boolean;
}

/** Hubble's `observer.Observer`, over the flow store. */
export function createObserverService(options: ObserverOptions): GrpcService {
  let streams = 0;
  return {
    definition: DEFINITION,
    handlers: {
      GetFlows: (call: ServerWritableStream<Buffer, HubbleResponse>): void => {
        if (streams >= FLOW_LIMITS.hubbleStreamsMax) {
          call.emit("error", { code: status.RESOURCE_EXHAUSTED, details: "too many readers at once; try again later" });
          return;
        }
        streams += 1;
        answerFlows(call, options)
          .then(
            () => call.end(),
            (thrown: unknown) => call.emit("error", failureOf(thrown)),
          )
          .finally(() => (streams -= 1));
      },
      GetNodes: unary(options, (readable) => nodes({ ...options, at: options.at() }, readable)),
      GetNamespaces: unary(options, (readable) => namespaces(options, readable)),
      ServerStatus: unary(options, (readable) => serverStatus(options, readable)),
      GetAgentEvents: (call: ServerWritableStream<Buffer, Buffer>) =>
        call.emit("error", unimplemented("GetAgentEvents")),
      GetDebugEvents: (call: ServerWritableStream<Buffer, Buffer>) =>
        call.emit("error", unimplemented("GetDebugEvents")),
    },
  };
}

async function answerFlows(
  call: ServerWritableStream<Buffer, HubbleResponse>,
  options: ObserverOptions,
): Promise<void> {
  const readable = readableOf(call, options);
  const { request } = call;
  if (request.length > FLOW_LIMITS.hubbleRequestBytesMax)
    throw new CardeaError("bad-input", `the request is longer than ${FLOW_LIMITS.hubbleRequestBytesMax} octets`);
  await getFlows(parseFlowsRequest(request), streamOf(call), { ...options, namespaces: readable });
}

/** Errors: `denied-by-policy`. */
function readableOf(call: Call, options: ObserverOptions): ReadableNamespaces {
  const readable = options.readableBy(call);
  if (readable !== null) return readable;
  throw new CardeaError("denied-by-policy", "flows are read with a certificate of the mesh, of a namespace of its own");
}

function unary<Answer>(options: ObserverOptions, answerTo: (readable: ReadableNamespaces) => Promise<Answer>) {
  return (call: ServerUnaryCall<Buffer, Answer>, answer: sendUnaryData<Answer>): void => {
    const ask = async (): Promise<Answer> => answerTo(readableOf(call, options));
    ask().then(
      (message) => answer(null, message),
      (thrown: unknown) => answer(failureOf(thrown)),
    );
  };
}

function streamOf(call: ServerWritableStream<Buffer, HubbleResponse>): FlowsStream {
  const gone = new AbortController();
  const onGone = (): void => gone.abort();
  for (const event of ["cancelled", "close", "error"]) call.once(event, onGone);
  return {
    gone: gone.signal,
    send: (response) => {
      if (gone.signal.aborted || call.write(response)) return SENT;
      return new Promise((resolve) => {
        const go = (): void => {
          call.removeListener("drain", go);
          gone.signal.removeEventListener("abort", go);
          resolve();
        };
        call.once("drain", go);
        gone.signal.addEventListener("abort", go, { once: true });
      });
    },
  };
}

const SENT = Promise.resolve();

const STATUS_OF: Partial<Record<ErrorCode, status>> = {
  "bad-input": status.INVALID_ARGUMENT,
  "denied-by-policy": status.UNAUTHENTICATED,
  internal: status.INTERNAL,
};

function failureOf(thrown: unknown) {
  const { code, message } = toCardeaError(thrown);
  return {
    code: STATUS_OF[code] ?? status.UNAVAILABLE,
    details: code === "internal" ? ERROR_TABLE[code].meaning : message,
  };
}

function unimplemented(name: string) {
  return {
    code: status.UNIMPLEMENTED,
    details: `${name} tells of Cilium's own parts, which this mesh does not have`,
  };
}

function method<Message>(
  path: string,
  responseStream: boolean,
  responseSerialize: (message: Message) => Buffer,
): MethodDefinition<Buffer, Message> {
  // Requests are read by the handlers: what is wrong with them has words of its own.
  const asItCame = { requestSerialize: (bytes: Buffer) => bytes, requestDeserialize: (bytes: Buffer) => bytes };
  return {
    path,
    requestStream: false,
    responseStream,
    ...asItCame,
    responseSerialize,
    responseDeserialize: readNothing,
  };
}

function readNothing(): never {
  throw new CardeaError("internal", "a server reads no answers");
}

const DEFINITION: ServiceDefinition = {
  GetFlows: method(OBSERVER_API.getFlows, true, (message: HubbleResponse) => GET_FLOWS_RESPONSE.serialize(message)),
  GetNodes: method(OBSERVER_API.getNodes, false, (message: Nodes) => GET_NODES_RESPONSE.serialize(message)),
  GetNamespaces: method(OBSERVER_API.getNamespaces, false, (message: Namespaces) =>
    GET_NAMESPACES_RESPONSE.serialize(message),
  ),
  ServerStatus: method(OBSERVER_API.serverStatus, false, (message: ServerStatus) =>
    SERVER_STATUS_RESPONSE.serialize(message),
  ),
  GetAgentEvents: method(OBSERVER_API.getAgentEvents, true, (bytes: Buffer) => bytes),
  GetDebugEvents: method(OBSERVER_API.getDebugEvents, true, (bytes: Buffer) => bytes),
};
