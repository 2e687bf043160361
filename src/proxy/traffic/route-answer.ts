import type { HttpMatch, Redirect } from "../../traffic/service-traffic.ts";
import type { RequestHead } from "../../wire/http1-head.ts";
import type { BodyFraming } from "../../wire/http1-head.ts";
import { reasonPhraseOf } from "../../wire/reason-phrase.ts";
import type { LocalAnswer } from "../local-answer.ts";
import { rewritePath } from "./rewrite-path.ts";

/** A route's own answer, as VirtualService's directResponse gives it. */
export function makeDirectAnswer(status: number, body: string | null, method: string): LocalAnswer {
  const bytes = Buffer.from(body ?? "", "utf8");
  return makeAnswer({ status, headers: bytes.length > 0 ? ["content-type", "text/plain"] : [], bytes, method });
}

/** Where to ask instead. */
export function makeRedirect(redirect: Redirect, head: RequestHead, match: HttpMatch | null): LocalAnswer {
  const { status, path } = redirect;
  const target = path === null ? head.path : rewritePath(head.path, path, match);
  const location = `${redirect.scheme ?? "http"}://${authorityOf(redirect, head.host ?? "")}${target}`;
  return makeAnswer({ status, headers: ["location", location], bytes: EMPTY, method: head.method });
}

/** A new host, or another scheme, has its own default port unless one is named. */
function authorityOf({ authority, port, scheme }: Redirect, asked: string): string {
  const whole = authority ?? asked;
  if (port === null && (authority !== null || scheme === null)) return whole;
  const host = whole.replace(/:\d+$/, "");
  const isDefault = port === null || port === (scheme === "https" ? 443 : 80);
  return isDefault ? host : `${host}:${port}`;
}

interface Answered {
  readonly status: number;
  readonly headers: string[];
  readonly bytes: Buffer;
  readonly method: string;
}

function makeAnswer({ status, headers, bytes, method }: Answered): LocalAnswer {
  const isBodiless = method === "HEAD" || status === 204 || status === 304;
  if (method === "HEAD") headers.push("content-length", `${bytes.length}`);
  const framing: BodyFraming = isBodiless ? { kind: "none" } : { kind: "length", bytes: bytes.length };
  const answer = { status, reason: reasonPhraseOf(status), headers, framing, isLast: false };
  return { status, answer, body: isBodiless ? EMPTY : bytes };
}

const EMPTY = Buffer.alloc(0);
