import { encodeChunk, encodeLastChunk } from "../../src/wire/http1-body.ts";
import { type RequestHead, serializeRequestHead } from "../../src/wire/http1-head.ts";
import { isHopByHop } from "../../src/wire/hop-by-hop.ts";
import { normalizePath } from "../../src/wire/path.ts";
import type { Message } from "./http1-session.ts";

/** A request as the next hop gets it, and what that hop must make of it. */
export interface Forwarded {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly body: Buffer;
  /** The octets of the whole message. */
  readonly octets: Buffer;
}

/**
 * Writes a request anew, as a proxy forwards it: origin-form and normalised, the authority in force as Host, nothing
 * that belongs to one hop, and the framing that was read. Null when the path is refused, or when it opens a tunnel.
 */
export function forwardedOf(message: Message<RequestHead>): Forwarded | null {
  const { head, body, trailers } = message;
  const normalized = normalizePath(head.path, "BASE");
  if (!normalized.ok || head.method === "CONNECT" || head.host === null) return null;
  const isChunked = head.framing.kind === "chunked";
  const headers = ["Host", head.host];
  for (let i = 0; i < head.headers.length; i += 2) {
    const name = head.headers[i]!;
    const isRewritten = ["host", "expect"].includes(name.toLowerCase());
    if (!isRewritten && !isHopByHop(name, head.nominated)) headers.push(name, head.headers[i + 1]!);
  }
  if (isChunked) headers.push("Transfer-Encoding", "chunked");
  const start = serializeRequestHead({ method: head.method, target: normalized.path, headers });
  const coded = isChunked ? [encodeChunk([body]), encodeLastChunk(trailers)] : [body];
  return {
    method: head.method,
    path: normalized.path,
    host: head.host,
    body,
    octets: Buffer.concat([start, ...coded]),
  };
}
