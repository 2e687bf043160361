import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import { type ExtensionProvider, type HeaderPattern, matchesHeader } from "../../policy/extension-provider.ts";
import type { Headers } from "../../wire/headers.ts";
import type { AskedRequest } from "../admission-steps.ts";
import type { BodyBeginning } from "../asked-body.ts";
import { joinedHeader, PARTIAL_BODY } from "../headers.ts";
import type { ServiceAnswer, ServiceRequest } from "../service-call.ts";
import { assertSendable, type HeaderEdit, isOutOfReach } from "./header-edits.ts";
import { type ExtAuthzVerdict, isFinalStatus } from "./verdict.ts";

interface CheckParts {
  readonly provider: ExtensionProvider;
  readonly signal: AbortSignal;
}

/** The same request, to the server: its method, its path behind the prefix, and the headers that it is to see. */
export function httpCheck(
  asked: AskedRequest,
  body: BodyBeginning | null,
  { provider, signal }: CheckParts,
): ServiceRequest {
  const { http, service, port, timeoutMs } = provider;
  const added = new Set(http.addedHeaders.map(([name]) => name.toLowerCase()));
  const headers: string[] = [];
  for (let i = 0; i < asked.headers.length; i += 2) {
    const name = asked.headers[i]!.toLowerCase();
    if (isOutOfReach(name) || name === PARTIAL_BODY || added.has(name)) continue;
    if (ALWAYS.has(name) || matchesHeader(http.requestHeaders, name)) headers.push(name, asked.headers[i + 1]!);
  }
  for (const [name, value] of http.addedHeaders) if (!isOutOfReach(name)) headers.push(name.toLowerCase(), value);
  if (body !== null) headers.push(PARTIAL_BODY, String(!body.isWhole));
  return {
    service,
    port,
    host: asked.head.host,
    method: asked.head.method,
    target: http.pathPrefix + asked.target,
    headers,
    body: body === null || body.bytes.length === 0 ? null : body.bytes,
    timeoutMs,
    answerBytesMax: LIMITS.extAuthzAnswerBytesMax,
    signal,
  };
}

/** Envoy sends `authorization` unasked; the trace is one with the request's. */
const ALWAYS: ReadonlySet<string> = new Set(["authorization", "traceparent", "tracestate"]);

/** 200 allows. Errors: `upstream-protocol-error`, for 5xx and for what cannot be passed on. */
export function readHttpVerdict(answer: ServiceAnswer, { http }: ExtensionProvider): ExtAuthzVerdict {
  const { status, headers, body } = answer;
  // Whatever comes from between us and the server looks like this, too.
  if (status >= 500 || !isFinalStatus(status))
    throw new CardeaError("upstream-protocol-error", `the server answered with ${status}`);
  if (status !== 200) return { at: "denied", status, headers: deniedHeaders(headers, http.toDownstreamOnDeny), body };
  const removed = (joinedHeader(headers, HEADERS_TO_REMOVE, headers.length) ?? "")
    .split(",")
    .map((name) => name.trim());
  return {
    at: "allowed",
    request: [
      ...editsOf(headers, http.toUpstreamOnAllow),
      ...removed
        .filter((name) => name !== "" && !isOutOfReach(name))
        .map((name) => ({ does: "remove", name, value: "" }) as const),
    ],
    answer: editsOf(headers, http.toDownstreamOnAllow),
  };
}

const HEADERS_TO_REMOVE = "x-envoy-auth-headers-to-remove";

/** What comes back besides, where a list says what may. */
const DENIED_ALWAYS: ReadonlySet<string> = new Set(["www-authenticate", "location"]);

function deniedHeaders(headers: Headers, patterns: readonly HeaderPattern[] | null): readonly string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    if (isOutOfReach(name)) continue;
    if (patterns === null || DENIED_ALWAYS.has(name) || matchesHeader(patterns, name)) kept.push(name, headers[i + 1]!);
  }
  return kept;
}

/** The first of a name overrides, others of it are added. */
function editsOf(headers: Headers, patterns: readonly HeaderPattern[]): readonly HeaderEdit[] {
  const seen = new Set<string>();
  const edits: HeaderEdit[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    if (!matchesHeader(patterns, name) || isOutOfReach(name)) continue;
    const edit = { does: seen.has(name) ? "append" : "set", name, value: headers[i + 1]! } as const;
    assertSendable(edit);
    seen.add(name);
    edits.push(edit);
  }
  return edits;
}
