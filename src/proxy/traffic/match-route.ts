import type { HttpMatch, HttpRoute, NamedMatch, StringMatch } from "../../traffic/service-traffic.ts";
import type { RequestHead } from "../../wire/http1-head.ts";
import { joinedHeader } from "../headers.ts";
import { queryValue } from "./hash-key.ts";

/** What routes are chosen by. */
export interface Asked {
  readonly head: RequestHead;
  /** The port of the service that the request is for. */
  readonly port: number;
  /** Of the calling workload: our own. */
  readonly labels: Readonly<Record<string, string>>;
  readonly namespace: string;
}

/** A route that holds for a request, and which of its matches did. */
export interface MatchedRoute {
  readonly route: HttpRoute;
  readonly match: HttpMatch | null;
}

/** The first route that holds, or null. */
export function matchRoute(routes: readonly HttpRoute[], asked: Asked): MatchedRoute | null {
  for (const route of routes) {
    if (route.matches.length === 0) return { route, match: null };
    const match = route.matches.find((each) => isMatch(each, asked));
    if (match !== undefined) return { route, match };
  }
  return null;
}

/** All that a match says must hold. The cheapest and most telling come first. */
function isMatch(match: HttpMatch, asked: Asked): boolean {
  const { head } = asked;
  return (
    (match.port === null || match.port === asked.port) &&
    (match.method === null || isString(match.method, head.method)) &&
    (match.path === null || isPath(match.path, pathOf(head.path), match.ignorePathCase)) &&
    (match.authority === null || isString(match.authority, head.host ?? "")) &&
    // Between the app and its sidecar there is no other.
    (match.scheme === null || isString(match.scheme, "http")) &&
    (match.sourceNamespace === null || match.sourceNamespace === asked.namespace) &&
    hasLabels(match.sourceLabels, asked.labels) &&
    match.headers.every((each) => isNamed(each, headerOf(head, each.name))) &&
    !match.withoutHeaders.some((each) => isNamed(each, headerOf(head, each.name))) &&
    match.query.every((each) => isNamed(each, queryValue(head.path, each.name)))
  );
}

function isNamed({ value }: NamedMatch, found: string | null): boolean {
  return found !== null && (value.kind === "present" || isString(value, found));
}

function isPath(match: StringMatch, path: string, ignoresCase: boolean): boolean {
  if (!ignoresCase || match.kind === "regex") return isString(match, path);
  return isString({ ...match, text: match.text.toLowerCase() }, path.toLowerCase());
}

function isString(match: StringMatch, text: string): boolean {
  switch (match.kind) {
    case "exact":
      return text === match.text;
    case "prefix":
      return text.startsWith(match.text);
    case "segments":
      return isUnder(match.text, text);
    case "regex":
      return match.test(text);
  }
}

/** `/a` and `/a/` hold for `/a` and `/a/b`, and not for `/ab`. */
function isUnder(prefix: string, path: string): boolean {
  const bare = prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
  return path.startsWith(bare) && (path.length === bare.length || path.charAt(bare.length) === "/");
}

function headerOf({ headers }: RequestHead, name: string): string | null {
  return joinedHeader(headers, name, headers.length) ?? null;
}

function hasLabels(wanted: ReadonlyMap<string, string>, labels: Readonly<Record<string, string>>): boolean {
  for (const [name, value] of wanted) if (labels[name] !== value) return false;
  return true;
}

/** A request target's path without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}
