import { CHECK_METHOD, CHECK_REQUEST, CHECK_RESPONSE } from "../../api/ext-authz-messages.ts";
import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { ExtensionProvider } from "../../policy/extension-provider.ts";
import type { PeerFacts } from "../../policy/facts.ts";
import { encodeGrpcMessage, GrpcMessageReader } from "../../wire/grpc-message.ts";
import { formatGrpcTimeout } from "../../wire/grpc-status.ts";
import type { AskedRequest } from "../admission-steps.ts";
import type { BodyBeginning } from "../asked-body.ts";
import { grpcStatusIn } from "../grpc.ts";
import { joinedHeader, PARTIAL_BODY } from "../headers.ts";
import type { ServiceAnswer, ServiceRequest } from "../service-call.ts";
import { assertSendable, type HeaderEdit, isOutOfReach } from "./header-edits.ts";
import { type ExtAuthzVerdict, isFinalStatus } from "./verdict.ts";

type CheckResponse = ReturnType<typeof CHECK_RESPONSE.deserialize>;
type HeaderOption = NonNullable<CheckResponse["okResponse"]>["headers"][number];

export interface CheckParts {
  readonly provider: ExtensionProvider;
  readonly signal: AbortSignal;
  readonly nowMs: number;
}

/** envoy.service.auth.v3.Authorization/Check. */
export function grpcCheck(
  asked: AskedRequest,
  body: BodyBeginning | null,
  { provider, signal, nowMs }: CheckParts,
): ServiceRequest {
  const trace = joinedHeader(asked.headers, "traceparent", asked.headers.length);
  const message = checkRequestOf(asked, body, { provider, nowMs });
  return callOf(message, trace === undefined ? [] : ["traceparent", trace], { provider, signal });
}

/** The same about a connection whose bytes nobody reads. */
export function connectionCheck(peer: PeerFacts, { provider, signal, nowMs }: CheckParts): ServiceRequest {
  return callOf({ attributes: { ...peersOf(peer), request: { time: timeOf(nowMs) } } }, [], { provider, signal });
}

type CheckRequest = Parameters<typeof CHECK_REQUEST.serialize>[0];

function callOf(
  message: CheckRequest,
  headers: readonly string[],
  { provider, signal }: Pick<CheckParts, "provider" | "signal">,
): ServiceRequest {
  return {
    service: provider.service,
    port: provider.port,
    method: "POST",
    target: CHECK_METHOD,
    headers: [
      "content-type",
      "application/grpc",
      "te",
      "trailers",
      "grpc-timeout",
      formatGrpcTimeout(provider.timeoutMs),
      ...headers,
    ],
    body: encodeGrpcMessage(CHECK_REQUEST.serialize(message)),
    timeoutMs: provider.timeoutMs,
    answerBytesMax: LIMITS.extAuthzAnswerBytesMax,
    signal,
  };
}

function checkRequestOf(
  { head, peer, headers, target }: AskedRequest,
  body: BodyBeginning | null,
  { provider, nowMs }: Pick<CheckParts, "provider" | "nowMs">,
): CheckRequest {
  const fields = joined(headers);
  if (body !== null) fields.set(PARTIAL_BODY, String(!body.isWhole));
  const shown = body === null || body.bytes.length === 0 ? {} : shownBody(body.bytes, provider);
  return {
    attributes: {
      ...peersOf(peer),
      request: {
        time: timeOf(nowMs),
        http: {
          id: fields.get("x-request-id") ?? "",
          method: head.method,
          headers: fields
            .set(":method", head.method)
            .set(":path", target)
            .set(":authority", head.host ?? ""),
          path: target,
          host: head.host ?? "",
          scheme: "http",
          size: head.framing.kind === "length" ? head.framing.bytes : head.framing.kind === "none" ? 0 : -1,
          protocol: head.minorVersion === 0 ? "HTTP/1.0" : "HTTP/1.1",
          ...shown,
        },
      },
    },
  };
}

function shownBody(bytes: Buffer, { body }: ExtensionProvider): { rawBody: Buffer } | { body: string } {
  return body?.isRaw === true ? { rawBody: bytes } : { body: bytes.toString("utf8") };
}

function peersOf(peer: PeerFacts) {
  return {
    source: { address: addressOf(peer.sourceIp, 0), principal: peer.principal ?? "" },
    destination: { address: addressOf(peer.destinationIp, peer.destinationPort) },
    tlsSession: { sni: peer.sni ?? "" },
  };
}

function timeOf(nowMs: number) {
  return { seconds: Math.floor(nowMs / 1_000), nanos: Math.floor(nowMs % 1_000) * 1_000_000 };
}

function addressOf(address: string, portValue: number) {
  return { socketAddress: { address, portValue } };
}

/** By lower-case name, several joined by a comma; host goes as what it is in HTTP/2. */
function joined(headers: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    if (name === "host") continue;
    const before = fields.get(name);
    fields.set(name, before === undefined ? headers[i + 1]! : `${before},${headers[i + 1]}`);
  }
  return fields;
}

/** Errors: `upstream-protocol-error`, for what is no answer that can be followed. */
export function readGrpcVerdict(answer: ServiceAnswer): ExtAuthzVerdict {
  const told = grpcStatusIn(answer.trailers) ?? grpcStatusIn(answer.headers);
  if (answer.status !== 200 || told !== 0)
    throw broken(
      `the server answered with ${answer.status === 200 ? `grpc-status ${told ?? "missing"}` : answer.status}`,
    );
  const reader = new GrpcMessageReader(LIMITS.extAuthzAnswerBytesMax);
  reader.feed(answer.body);
  const reading = reader.next();
  if (reading.at !== "message") throw broken("the server's answer is no whole message");
  const { status, okResponse, deniedResponse } = CHECK_RESPONSE.deserialize(reading.message);
  // A message without a status has the code that a missing one stands for, OK; nobody means that by it.
  if (status === null) throw broken("the server's answer has no status");
  if (status.code !== 0) return readDenial(deniedResponse);
  if (deniedResponse !== null) throw broken("the server's answer is OK and denies");
  return readAllowance(okResponse);
}

function readDenial(denied: CheckResponse["deniedResponse"]): ExtAuthzVerdict {
  const code = denied?.status?.code ?? 0;
  const headers = (denied?.headers ?? []).flatMap((option) => {
    const edit = editOf(option);
    return isOutOfReach(edit.name) ? [] : [edit.name, edit.value];
  });
  return {
    at: "denied",
    status: isFinalStatus(code) ? code : 403,
    headers,
    body: Buffer.from(denied?.body ?? "", "utf8"),
  };
}

function readAllowance(allowed: CheckResponse["okResponse"]): ExtAuthzVerdict {
  if (allowed === null) return { at: "allowed", request: [], answer: [] };
  if (allowed.queryParametersToSet.length > 0 || allowed.queryParametersToRemove.length > 0)
    throw broken("the server changes the query: what was authorized is what is forwarded");
  const request = allowed.headers.map(editOf);
  const unfit = request.find(({ name }) => isOutOfReach(name));
  if (unfit !== undefined) throw broken(`the server sets ${JSON.stringify(unfit.name)}, which is not its to change`);
  // What may not be set cannot be taken away either; Envoy passes such wishes over, too.
  const removed = allowed.headersToRemove.filter((name) => !isOutOfReach(name));
  return {
    at: "allowed",
    request: [...request, ...removed.map((name) => ({ does: "remove", name, value: "" }) as const)],
    answer: allowed.responseHeadersToAdd.map(editOf).filter(({ name }) => !isOutOfReach(name)),
  };
}

function editOf({ header, append, appendAction }: HeaderOption): HeaderEdit {
  if (header === null) throw broken("the server names a header without a name");
  const { key: name, rawValue } = header;
  const value = rawValue.length > 0 ? rawValue.toString("latin1") : header.value;
  assertSendable({ name, value });
  if (append?.value === true) return { does: "append", name, value };
  const does = APPEND_ACTIONS[appendAction];
  if (does === undefined) throw broken(`the append action ${appendAction} is not known`);
  return { does, name, value };
}

/** 0 is what a server says that says nothing: then a header is set, as `append` is false by default. */
const APPEND_ACTIONS: readonly HeaderEdit["does"][] = ["set", "ifAbsent", "set", "ifPresent"];

function broken(why: string): CardeaError {
  return new CardeaError("upstream-protocol-error", why);
}
