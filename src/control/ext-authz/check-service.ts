import type { sendUnaryData, ServerUnaryCall, ServiceDefinition } from "@grpc/grpc-js";
import { CHECK_METHOD, CHECK_REQUEST, CHECK_RESPONSE } from "../../api/ext-authz-messages.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Address } from "../../core/ports.ts";
import { GRPC } from "../../wire/grpc-status.ts";
import { HEALTH_SERVICE } from "../health-service.ts";
import { openPlainGrpcServer } from "../plain-grpc-server.ts";
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
  const authorization = {
    definition: AUTHORIZATION,
    handlers: {
      check(call: ServerUnaryCall<CheckRequest, CheckResponse>, answer: sendUnaryData<CheckResponse>): void {
        answer(null, responseOf(check(call.request)));
      },
    },
  };
  const limits = { "grpc.max_receive_message_length": LIMITS.extAuthzBodyBytesMax * 2 };
  const server = await openPlainGrpcServer({ listen, services: [authorization, HEALTH_SERVICE], limits });
  return { address: server.address, close: () => server.close(0) };
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
