import type { sendUnaryData, ServiceDefinition } from "@grpc/grpc-js";
import { field } from "../wire/protobuf-fields.ts";
import { messageOf } from "../wire/protobuf-message.ts";
import { INT32, STRING } from "../wire/protobuf-values.ts";
import type { GrpcService } from "./grpc-server.ts";

const REQUEST = messageOf({ service: field(1, STRING) });
const RESPONSE = messageOf({ status: field(1, INT32) });
type Response = Parameters<typeof RESPONSE.serialize>[0];
const SERVING = 1;

const DEFINITION: ServiceDefinition = {
  check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: (message: Parameters<typeof REQUEST.serialize>[0]) => REQUEST.serialize(message),
    requestDeserialize: (bytes) => REQUEST.deserialize(bytes),
    responseSerialize: (message: Response) => RESPONSE.serialize(message),
    responseDeserialize: (bytes) => RESPONSE.deserialize(bytes),
  },
};

/** `grpc.health.v1.Health/Check`: whoever answers serves, whatever service is asked about. */
export const HEALTH_SERVICE: GrpcService = {
  definition: DEFINITION,
  handlers: {
    check: (_call: unknown, answer: sendUnaryData<Response>): void => answer(null, { status: SERVING }),
  },
};
