import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { CHECK_METHOD, CHECK_REQUEST, CHECK_RESPONSE } from "../../api/ext-authz-messages.ts";
import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Address } from "../../core/ports.ts";
import { field } from "../../wire/protobuf-fields.ts";
import { messageOf } from "../../wire/protobuf-message.ts";
import { INT32, STRING } from "../../wire/protobuf-values.ts";
import { GRPC } from "../../wire/grpc-status.ts";
import type { CheckAnswer } from "./check-decider.ts";

type CheckRequest = ReturnType<typeof CHECK_REQUEST.deserialize>;
type CheckResponse = Parameters<typeof CHECK_RESPONSE.serialize>[0];

interface CheckServiceOptions {
  readonly listen: Address;
  readonly check: (request: CheckRequest) => CheckAnswer;
}

export interface CheckService {
  readonly address: Address;
  close(): Promise<void>;
}

/** What a denied caller reads, as Envoy's RBAC filter says it. */
export const DENIED_TEXT = "RBAC: access denied\n";
export const DENIAL_HEADER = "x-cardea-denial";

/** envoy.service.auth.v3.Authorization, and grpc.health.v1.Health beside it. Errors: `unreachable`. */
export async function openCheckService({ listen, check }: CheckServiceOptions): Promise<CheckService> {
  const server = new Server({ "grpc.max_receive_message_length": LIMITS.extAuthzBodyBytesMax * 2 });
  server.addService(AUTHORIZATION, {
    check(call: ServerUnaryCall<CheckRequest, CheckResponse>, answer: sendUnaryData<CheckResponse>) {
      answer(null, responseOf(check(call.request)));
    },
  });
  server.addService(HEALTH, {
    check(_call: unknown, answer: sendUnaryData<HealthResponse>) {
      answer(null, { status: SERVING });
    },
  });
  const port = await bind(server, listen);
  return {
    address: { host: listen.host, port },
    close: () =>
      new Promise((resolve) => {
        server.tryShutdown(() => resolve());
        server.forceShutdown();
      }),
  };
}

function bind(server: Server, { host, port }: Address): Promise<number> {
  const at = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(at, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new CardeaError("unreachable", `cannot listen on ${at}: ${error.message}`, error));
    });
  });
}

function responseOf(answer: CheckAnswer): CheckResponse {
  if (answer.allow) return { status: { code: GRPC.OK }, okResponse: {} };
  return {
    status: { code: GRPC.PERMISSION_DENIED },
    deniedResponse: {
      status: { code: answer.status },
      headers: [{ header: { key: DENIAL_HEADER, value: answer.id } }],
      body: DENIED_TEXT,
    },
  };
}

const AUTHORIZATION: ServiceDefinition = {
  check: {
    path: CHECK_METHOD,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message: Parameters<typeof CHECK_REQUEST.serialize>[0]) => CHECK_REQUEST.serialize(message),
    requestDeserialize: (bytes) => CHECK_REQUEST.deserialize(bytes),
    responseSerialize: (message: CheckResponse) => CHECK_RESPONSE.serialize(message),
    responseDeserialize: (bytes) => CHECK_RESPONSE.deserialize(bytes),
  },
};

const HEALTH_REQUEST = messageOf({ service: field(1, STRING) });
const HEALTH_RESPONSE = messageOf({ status: field(1, INT32) });
type HealthResponse = Parameters<typeof HEALTH_RESPONSE.serialize>[0];
const SERVING = 1;

const HEALTH: ServiceDefinition = {
  check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: (message: Parameters<typeof HEALTH_REQUEST.serialize>[0]) => HEALTH_REQUEST.serialize(message),
    requestDeserialize: (bytes) => HEALTH_REQUEST.deserialize(bytes),
    responseSerialize: (message: HealthResponse) => HEALTH_RESPONSE.serialize(message),
    responseDeserialize: (bytes) => HEALTH_RESPONSE.deserialize(bytes),
  },
};
