/** What a path template's wildcard takes in: Envoy's uri_template literals (RFC 3986 pchar without `*`). */
const LITERAL = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/;
const LITERAL_OR_SLASH = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=/]*$/;

/** `{*}` matches within one segment, `{**}` across several or none. */
export type TemplatePart = { readonly kind: "text"; readonly text: string } | { readonly kind: "one" | "any" };

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
    else if (piece === "{**}") parts.push({ kind: "any" });
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
  for (const [i, part] of parts.entries()) {
    if (part.kind === "text") {
      if (!path.startsWith(part.text, at)) return false;
      at += part.text.length;
    } else if (part.kind === "one") {
      const slash = path.indexOf("/", at);
      const end = slash < 0 ? path.length : slash;
      if (end === at || !(isWide || LITERAL.test(path.slice(at, end)))) return false;
      at = end;
    } else {
      // Only text can follow the last wildcard, so it must be the path's end.
      const rest = parts
        .slice(i + 1)
        .map((each) => (each.kind === "text" ? each.text : ""))
        .join("");
      const end = path.length - rest.length;
      return end >= at && path.endsWith(rest) && (isWide || LITERAL_OR_SLASH.test(path.slice(at, end)));
    }
  }
  return at === path.length;
}
