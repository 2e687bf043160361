import type { HashKey } from "../../traffic/service-traffic.ts";
import type { RequestHead } from "../../wire/http1-head.ts";
import { joinedHeader } from "../headers.ts";

export type CookieKey = HashKey & { readonly from: "cookie" };

/** What a request may be told apart by. */
export interface Caller {
  readonly head: RequestHead;
  readonly sourceIp: string;
  /** Gives the caller the cookie that it has not, and returns its value. */
  giveCookie(cookie: CookieKey): string;
}

/** What requests that belong together have in common; null where this one has nothing of the kind. */
export function hashKeyOf(key: HashKey, caller: Caller): string | null {
  const { headers, path } = caller.head;
  switch (key.from) {
    case "header":
      return joinedHeader(headers, key.name, headers.length) ?? null;
    case "query":
      return queryValue(path, key.name);
    case "source-ip":
      return caller.sourceIp;
    case "cookie":
      return cookieValue(joinedHeader(headers, "cookie", headers.length), key.name) ?? givenCookie(key, caller);
  }
}

/** Without a time to live the caller keeps its own cookies, and has none. */
function givenCookie(key: CookieKey, caller: Caller): string | null {
  return key.ttlMs === null ? null : caller.giveCookie(key);
}

/** RFC 6265 section 4.2.1; as joined, several fields are parted by commas. */
function cookieValue(field: string | undefined, name: string): string | null {
  for (const pair of field?.split(/[;,]/) ?? []) {
    const equals = pair.indexOf("=");
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return null;
}

/** The first value of a query parameter, as it is written. */
export function queryValue(path: string, name: string): string | null {
  const query = path.indexOf("?");
  if (query < 0) return null;
  for (const pair of path.slice(query + 1).split("&")) {
    const equals = pair.indexOf("=");
    if ((equals < 0 ? pair : pair.slice(0, equals)) === name) return equals < 0 ? "" : pair.slice(equals + 1);
  }
  return null;
}
