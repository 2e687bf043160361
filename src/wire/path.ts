import { CardeaError } from "../core/errors.ts";
import { HEX_VALUE, TARGET } from "./octets.ts";

/** Istio's pathNormalization, by its names. */
export type PathNormalization = "NONE" | "BASE" | "MERGE_SLASHES" | "DECODE_AND_MERGE_SLASHES";

/** `path` is forwarded, `pathForMatch` is matched: the same octets, but for the query. */
export type NormalizedPath =
  | { readonly ok: true; readonly path: string; readonly pathForMatch: string }
  | { readonly ok: false; readonly error: CardeaError };

/**
 * Normalises `RequestHead.path` as Istio and Envoy do, once, before it is matched; the query stays as it is.
 * BASE: unreserved characters are decoded, `\` becomes `/`, dot segments are resolved (RFC 3986 section 6.2.2), and
 * what a URI may not hold is encoded; `%2F` stays. MERGE_SLASHES: `//` becomes `/` after that.
 * DECODE_AND_MERGE_SLASHES: `%2F` and `%5C` are decoded before it. `*` and the empty path of CONNECT stay.
 *
 * Refuses with `bad-request`. Stricter than Envoy: `%00` is refused in every mode; and, but for NONE, a `%` without
 * two hexadecimal digits and dot segments with parameters (`/..;/`), since servers disagree about both.
 */
export function normalizePath(pathAndQuery: string, mode: PathNormalization): NormalizedPath {
  if (pathAndQuery === "*" || pathAndQuery === "") return { ok: true, path: pathAndQuery, pathForMatch: pathAndQuery };
  const queryStart = pathAndQuery.indexOf("?");
  const rawPath = queryStart < 0 ? pathAndQuery : pathAndQuery.slice(0, queryStart);
  const look = lookOf(pathAndQuery, rawPath.length);
  if (look === "forbidden") return refuse("the path holds a control character, a space, a `#` or non-ASCII");
  if (look === "plain") return { ok: true, path: pathAndQuery, pathForMatch: rawPath };
  const path = mode === "NONE" ? keepPath(rawPath) : rewritePath(rawPath, mode);
  if (typeof path !== "string") return path;
  return { ok: true, path: queryStart < 0 ? path : path + pathAndQuery.slice(queryStart), pathForMatch: path };
}

type Look = "plain" | "unusual" | "forbidden";

/** Most paths are `plain`: no mode changes them. The hot path's only loop. */
function lookOf(pathAndQuery: string, pathLength: number): Look {
  let look: Look = pathAndQuery.charCodeAt(0) === SLASH ? "plain" : "unusual";
  let previous = 0;
  for (let i = 0; i < pathAndQuery.length; i++) {
    const code = pathAndQuery.charCodeAt(i);
    if (TARGET[code] !== 1) return "forbidden";
    if (i >= pathLength) continue;
    if (UNUSUAL[code] === 1 || (previous === SLASH && (code === SLASH || code === DOT))) look = "unusual";
    previous = code;
  }
  return look;
}

function keepPath(rawPath: string): string | NormalizedPath {
  if (!rawPath.startsWith("/")) return refuse(NO_SLASH);
  return rawPath.includes("%00") ? refuse(ENCODED_NUL) : rawPath;
}

function rewritePath(rawPath: string, mode: PathNormalization): string | NormalizedPath {
  const source = mode === "DECODE_AND_MERGE_SLASHES" ? decodeSlashes(rawPath) : rawPath;
  const decoded = decodeUnreserved(source);
  if (typeof decoded !== "string") return decoded;
  if (!decoded.startsWith("/")) return refuse(NO_SLASH);
  const segments = decoded.slice(1).split("/");
  if (segments.some(isDotWithParameters)) return refuse("a dot segment has parameters");
  const resolved = `/${resolveDots(segments).join("/")}`;
  return mode === "BASE" ? resolved : resolved.replace(/\/{2,}/g, "/");
}

function decodeSlashes(path: string): string {
  return path.replace(/%2f/gi, "/").replace(/%5c/gi, "\\");
}

/** One pass, so nothing is decoded twice. */
function decodeUnreserved(path: string): string | NormalizedPath {
  let decoded = "";
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === PERCENT) {
      const value = escapedValue(path, i);
      if (value === null) return refuse("a % is not followed by two hexadecimal digits");
      if (value === 0) return refuse(ENCODED_NUL);
      decoded += UNRESERVED[value] === 1 ? String.fromCharCode(value) : path.slice(i, i + 3);
      i += 2;
    } else if (code === BACKSLASH) decoded += "/";
    else decoded += UNUSUAL[code] === 1 ? `%${code.toString(16).toUpperCase()}` : path[i];
  }
  return decoded;
}

function escapedValue(path: string, at: number): number | null {
  const high = HEX_VALUE[path.charCodeAt(at + 1)] ?? 255;
  const low = HEX_VALUE[path.charCodeAt(at + 2)] ?? 255;
  return high > 15 || low > 15 ? null : high * 16 + low;
}

function isDotWithParameters(segment: string): boolean {
  return segment.startsWith(".;") || segment.startsWith("..;");
}

/** RFC 3986 section 5.2.4: `..` takes one segment back (an empty one counts), and a dot at the end leaves a slash. */
function resolveDots(segments: readonly string[]): string[] {
  const resolved: string[] = [];
  for (const segment of segments) {
    if (segment === "..") resolved.pop();
    else if (segment !== ".") resolved.push(segment);
  }
  const last = segments.at(-1);
  if (last === "." || last === "..") resolved.push("");
  return resolved;
}

const PERCENT = 0x25;
const DOT = 0x2e;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const NO_SLASH = "the path does not begin with a slash";
const ENCODED_NUL = "the path holds an encoded NUL";

/** 1 for what a rewriting mode may change wherever it stands; all but `%` and `\` are what a URI may not hold. */
const UNUSUAL = asciiTable(/[%\\"<>^`{|}]/);

/** 1 for what never needs encoding. RFC 3986 section 2.3. */
const UNRESERVED = asciiTable(/[A-Za-z0-9._~-]/);

function asciiTable(members: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (code < 128 && members.test(String.fromCharCode(code)) ? 1 : 0));
}

function refuse(why: string): NormalizedPath & { ok: false } {
  return { ok: false, error: new CardeaError("bad-request", why) };
}
