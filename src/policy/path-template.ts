/** What a path template's wildcard takes in: Envoy's uri_template literals (RFC 3986 pchar without `*`). */
const LITERAL = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/;

/** `{*}` matches within one segment, `{**}` across several or none. */
export type TemplatePart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "one" }
  /** The last wildcard: only text can follow, so that is the path's end. */
  | { readonly kind: "any"; readonly end: string };

/** Whether Istio reads the pattern as a template rather than as exact, prefix or suffix. */
export function isPathTemplate(pattern: string): boolean {
  return pattern.includes("{*}") || pattern.includes("{**}");
}

/** Throws an Error when the pattern is not one that `paths` takes. Istio's CheckValidPathTemplate. */
export function assertPathPattern(pattern: string): void {
  if (!isPathTemplate(pattern)) {
    if (/[{}]/.test(pattern))
      throw new Error(`has { or } beyond the templates {*} and {**}: ${JSON.stringify(pattern)}`);
    return;
  }
  const segments = pattern.slice(1).replace(/\/$/, "").split("/");
  const isWhole = segments.every((segment) => segment === "{*}" || segment === "{**}" || LITERAL.test(segment));
  if (!pattern.startsWith("/") || !isWhole)
    throw new Error(`expected a path template of whole segments like /a/{*}/b/{**}, found ${JSON.stringify(pattern)}`);
  const wild = segments.filter((segment) => segment.startsWith("{"));
  if (wild.slice(0, -1).includes("{**}"))
    throw new Error(`{**} must be the last template of a path, found ${JSON.stringify(pattern)}`);
}

/** A checked template → the texts and wildcards it is made of, in order. */
export function parsePathTemplate(pattern: string): readonly TemplatePart[] {
  const parts: TemplatePart[] = [];
  for (const piece of pattern.split(/(\{\*\*?\})/)) {
    if (piece === "{*}") parts.push({ kind: "one" });
    else if (piece === "{**}") parts.push({ kind: "any", end: pattern.slice(pattern.indexOf(piece) + piece.length) });
    else if (piece !== "") parts.push({ kind: "text", text: piece });
  }
  return parts;
}

/**
 * Whether a whole path fits the template, in linear time. `isWide` lets a wildcard take any character but the
 * slash; without it only those that Envoy's does. A rule that denies matches wide, one that grants does not.
 */
export function matchesPathTemplate(parts: readonly TemplatePart[], path: string, isWide: boolean): boolean {
  let at = 0;
  for (const part of parts) {
    if (part.kind === "text") {
      if (!path.startsWith(part.text, at)) return false;
      at += part.text.length;
    } else if (part.kind === "one") {
      const slash = path.indexOf("/", at);
      const end = slash < 0 ? path.length : slash;
      if (end === at || !(isWide || areLiterals(path, at, end))) return false;
      at = end;
    } else {
      const end = path.length - part.end.length;
      return end >= at && path.endsWith(part.end) && (isWide || areLiterals(path, at, end));
    }
  }
  return at === path.length;
}

/** By character code: whether a narrow wildcard takes it. A slash counts: it is never met by one that may not take it. */
const IS_LITERAL = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  return character === "/" || LITERAL.test(character) ? 1 : 0;
});

/** Built on a table, since this is run for every request. */
function areLiterals(path: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (IS_LITERAL[path.charCodeAt(at)] !== 1) return false;
  return true;
}
