import { compileRegex } from "../core/regex.ts";
import { object, optional, parsed, type Schema, string } from "../core/schema.ts";
import type { NamedMatch, StringMatch } from "./service-traffic.ts";

const TEXT = string({ allowEmpty: true });

/** A regular expression, compiled: Envoy's are RE2's and match whole texts, and so do these. Throws an Error. */
export function regexMatch(pattern: string): StringMatch {
  return { kind: "regex", ...compileRegex(pattern) };
}

const FIELDS = object({ exact: optional(TEXT), prefix: optional(TEXT), regex: optional(parsed(string(), regexMatch)) });

/** Istio's StringMatch. */
export const STRING_MATCH: Schema<StringMatch> = parsed(FIELDS, (fields) => {
  const match = matchOf(fields);
  if (match === null) throw new Error("needs one of exact, prefix and regex");
  return match;
});

/** What a header must say; `{}` asks for no more than its presence. */
export const HEADER_MATCH: Schema<NamedMatch["value"]> = (value, scope) => {
  const regex = value.kind === "map" ? value.entries.find(({ key }) => key === "regex")?.value : undefined;
  // Istio's way to say that a header must be there; as a regular expression it would be none.
  const isStar = regex?.kind === "scalar" && regex.value === "*" && value.kind === "map" && value.entries.length === 1;
  return isStar ? { kind: "present" } : ANY_OR_MATCH(value, scope);
};

const ANY_OR_MATCH: Schema<NamedMatch["value"]> = parsed(FIELDS, (fields) => matchOf(fields) ?? { kind: "present" });

function matchOf(fields: {
  readonly exact: string | null;
  readonly prefix: string | null;
  readonly regex: StringMatch | null;
}): StringMatch | null {
  const { exact, prefix, regex } = fields;
  if ([exact, prefix, regex].filter((each) => each !== null).length > 1)
    throw new Error("has more than one of exact, prefix and regex");
  if (exact !== null) return { kind: "exact", text: exact };
  if (prefix !== null) return { kind: "prefix", text: prefix };
  return regex;
}
