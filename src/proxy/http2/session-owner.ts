import { CardeaError } from "../../core/errors.ts";
import type { HeaderBlock } from "../../wire/hpack-decoder.ts";
import type { Http2Stream } from "./stream.ts";

/** The role that makes use of a connection's streams. */
export interface SessionOwner {
  readonly side: "server" | "client";
  /** Whether to ask a silent peer if it is still there. Not every server likes to be asked. */
  readonly probesPeer: boolean;
  /** What the peer may send on a stream ahead of its reader. */
  readonly streamWindowBytes: number;
  /** The peer has opened a stream; servers alone are asked. */
  onStream(stream: Http2Stream, block: HeaderBlock, opening: Opening): void;
  /** A stream has closed, or the peer's settings came: there may be room for another. */
  onRoom(): void;
  /** The connection takes no more streams. May be called again. */
  onRetired(): void;
  /** The connection takes part in nothing any more. Called once, when its streams have been told. */
  onLost(error: CardeaError): void;
  /** It is closed; until then it has deadlines. Called once, last. */
  onClosed(): void;
}

export interface Opening {
  readonly isEnd: boolean;
  /** RFC 7540 section 5.3.1. */
  readonly dependsOnItself: boolean;
}

/** The peer broke a rule of the connection's. */
export function peerFault(side: SessionOwner["side"], why: string): CardeaError {
  return new CardeaError(side === "server" ? "http2-protocol-error" : "upstream-protocol-error", why);
}

/** The peer wants more of us than anybody needs. */
export function peerFlood(side: SessionOwner["side"], why: string): CardeaError {
  return new CardeaError(side === "server" ? "http2-flood" : "upstream-protocol-error", why);
}

/** The peer does not do in time what it must. */
export function peerLate(side: SessionOwner["side"], why: string): CardeaError {
  return new CardeaError(side === "server" ? "request-timeout" : "upstream-timeout", why);
}

/** The peer went away, or says that it will. */
export function peerGone(side: SessionOwner["side"], why: string): CardeaError {
  return new CardeaError(side === "server" ? "downstream-reset" : "upstream-reset", why);
}
