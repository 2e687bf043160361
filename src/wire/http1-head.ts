import type { HeadResult, RequestHead, ResponseHead } from "./http1-message.ts";
import { continueRequest, createRequestScan } from "./request-head.ts";
import { continueResponse, createResponseScan } from "./response-head.ts";

export { canHaveBody } from "./response-head.ts";
export { serializeRequestHead, serializeResponseHead } from "./http1-head-writer.ts";
export type { BodyFraming, HeadResult, RequestHead, ResponseHead } from "./http1-message.ts";

/**
 * A request head at the buffer's beginning. Never throws and keeps nothing of the buffer. For input that may come in
 * pieces use RequestHeadReader (http1-head-reader.ts), which looks at each octet once.
 * Refuses with `bad-request`, `head-too-large`, `version-not-supported`, `expectation-failed`. RFC 9112 sections 3, 5.
 */
export function parseRequestHead(buffer: Buffer): HeadResult<RequestHead> {
  requestScan.reset();
  return continueRequest(requestScan, buffer, buffer.length);
}

/**
 * A response head at the buffer's beginning, in answer to `forMethod`, which decides whether there is a body.
 * Never throws and keeps nothing of the buffer. Refuses with `upstream-protocol-error`. RFC 9112 sections 4, 6.3.
 */
export function parseResponseHead(buffer: Buffer, forMethod: string): HeadResult<ResponseHead> {
  responseScan.reset();
  return continueResponse(responseScan, buffer, buffer.length, forMethod);
}

// Shared by all calls: a scan holds nothing from one call to the next.
const requestScan = createRequestScan();
const responseScan = createResponseScan();
