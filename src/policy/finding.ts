import { needsHttp } from "./attributes.ts";
import { type Claims, claimTexts, requestPrincipalOf } from "./claims.ts";
import type { Clause } from "./clause.ts";
import { headerOf } from "./clause-test.ts";
import type { Question } from "./facts.ts";
import { isUnrecorded, unrecordedBy } from "./unrecorded.ts";

/** A clause and what it met, in words. */
export interface ClauseFinding {
  /** e.g. `spec.rules[0].to[0].operation.methods`. */
  readonly field: string;
  readonly line: number | null;
  /** In words, e.g. `one of "GET", "HEAD"`. */
  readonly expected: string;
  readonly actual: string;
  /** The record that tells of the request does not carry what the clause asks for. */
  readonly isUnknown?: true;
}

/** What a clause wanted and what it found. */
export function findingOf(clause: Clause, question: Question): ClauseFinding {
  const actual = actualOf(clause, question);
  const isUnknown = question.isRecorded === true && question.request !== null && isUnrecorded(clause);
  const finding = { field: clause.field, line: clause.line, expected: expectedBy(clause), actual };
  return isUnknown ? { ...finding, isUnknown } : finding;
}

/** Longer lists are cut: the place is named, and the list can be read there. */
const VALUES_SHOWN = 8;

function expectedBy(clause: Clause): string {
  const shown = clause.values.slice(0, VALUES_SHOWN).map((value) => JSON.stringify(value));
  const more = clause.values.length - shown.length;
  const list = more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
  if (clause.isNegated) return clause.values.length === 1 ? `anything but ${list}` : `none of ${list}`;
  return clause.values.length === 1 ? list : `one of ${list}`;
}

function actualOf(clause: Clause, { peer, request, isRecorded }: Question): string {
  if (request === null && needsHttp(clause.attribute)) return "bytes that are not HTTP";
  if (isRecorded === true && isUnrecorded(clause)) return `unknown: the record does not carry ${unrecordedBy(clause)}`;
  switch (clause.attribute) {
    case "source.principal":
    case "source.namespace":
    case "source.serviceAccount":
    case "source.trustDomain":
      return peer.principal ?? "no identity";
    case "source.ip":
      return peer.sourceIp;
    case "remote.ip":
      return peer.remoteIp;
    case "destination.ip":
      return peer.destinationIp;
    case "destination.port":
      return String(peer.destinationPort);
    case "connection.sni":
      return peer.sni === null ? "no server name" : JSON.stringify(peer.sni);
    case "request.method":
      return JSON.stringify(request?.method ?? "");
    case "request.path":
      return JSON.stringify(request?.path ?? "");
    case "request.host":
      return request === null || request.host === "" ? "no host" : JSON.stringify(request.host);
    case "request.headers": {
      // Values of headers may be secrets: whether it is there is all that is told.
      const value = request === null ? undefined : headerOf(request, clause.header ?? "");
      return value === undefined ? "no such header" : "a header of that name";
    }
    case "request.auth.principal":
      return isRecorded === true && request?.claims == null
        ? "no user is named in the record"
        : userOf(request?.claims ?? null);
    case "request.auth.audiences":
    case "request.auth.presenter":
    case "request.auth.claims":
      // What a claim says of a person is that person's affair: whether there is one is all that is told.
      if (request === null || request.claims === null) return "no token";
      return claimTexts(request.claims, clause.claim ?? []).length > 0 ? "such a claim" : "no such claim";
  }
}

function userOf(claims: Claims | null): string {
  const principal = requestPrincipalOf(claims);
  if (principal !== null) return JSON.stringify(principal);
  return claims === null ? "no token" : "a token without issuer or subject";
}
