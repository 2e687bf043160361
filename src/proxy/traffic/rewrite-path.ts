import type { HttpMatch, Rewrite } from "../../traffic/service-traffic.ts";
import { pathOf } from "./match-route.ts";

type PathChange = NonNullable<Rewrite["path"]>;

/** A request target with its path changed as a rule says; the query stays. `match`: what found the path. */
export function rewritePath(target: string, change: PathChange, match: HttpMatch | null): string {
  const path = pathOf(target);
  return pathFor(path, change, match) + target.slice(path.length);
}

function pathFor(path: string, { kind, text }: PathChange, match: HttpMatch | null): string {
  const found = match?.path ?? null;
  // What an exact match or a regular expression finds is the whole path.
  if (kind === "full" || found?.kind === "exact" || found?.kind === "regex") return text;
  if (found?.kind === "segments") return replaceSegments(path, found.text, text);
  const prefix = found?.text ?? "/";
  return rooted(text + path.slice(prefix.length));
}

/** Gateway API's ReplacePrefixMatch: slashes at the seam are neither lost nor doubled. */
function replaceSegments(path: string, prefix: string, text: string): string {
  const rest = path.slice(withoutSlash(prefix).length);
  return rooted(withoutSlash(text) + rest);
}

function withoutSlash(text: string): string {
  return text.endsWith("/") ? text.slice(0, -1) : text;
}

/** RFC 9112 section 3.2.1: a target in origin form begins with a slash. */
function rooted(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}
