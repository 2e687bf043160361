import type { JwtRule, TokenPlaces } from "./jwt-rule.ts";

/** A request as far as tokens can stand in it. */
export interface TokenCarrier {
  /** Name, value, name, value. */
  headers: string[];
  /** With its query. */
  target: string;
}

/** A token where it was found. */
export interface FoundToken {
  readonly text: string;
  readonly place: Place;
}

/** `header`: with what precedes the token in it. Names of headers are in lower case. */
export type Place =
  | { readonly in: "header"; readonly name: string; readonly prefix: string }
  | { readonly in: "param" | "cookie"; readonly name: string };

/** All places that any of the rules looks into, each once. */
export function placesOf(rules: readonly JwtRule[]): readonly Place[] {
  const all = rules.flatMap(({ places }): Place[] => [
    ...places.headers.map(({ name, prefix }): Place => ({ in: "header", name, prefix })),
    ...places.params.map((name): Place => ({ in: "param", name })),
    ...places.cookies.map((name): Place => ({ in: "cookie", name })),
  ]);
  return [...new Map(all.map((place) => [JSON.stringify(place), place])).values()];
}

/** Whether the rule looks there. */
export function looksInto({ headers, params, cookies }: TokenPlaces, place: Place): boolean {
  if (place.in === "header") return headers.some(({ name, prefix }) => name === place.name && prefix === place.prefix);
  return (place.in === "param" ? params : cookies).includes(place.name);
}

/** The tokens of a request in the order of the places; each field, parameter and cookie of a name is one. */
export function findTokens(places: readonly Place[], carrier: TokenCarrier): readonly FoundToken[] {
  const found: FoundToken[] = [];
  for (const place of places) for (const text of textsAt(place, carrier)) found.push({ text, place });
  return found;
}

/** Takes the tokens of a place off the request, so that the app does not get them. */
export function removeTokens(place: Place, carrier: TokenCarrier): void {
  switch (place.in) {
    case "header":
      carrier.headers = withFields(carrier.headers, place.name, (value) =>
        afterPrefix(value, place.prefix) === null ? value : null,
      );
      return;
    case "param":
      carrier.target = withoutParam(carrier.target, place.name);
      return;
    case "cookie":
      carrier.headers = withFields(carrier.headers, "cookie", (value) => {
        const kept = value.split(";").filter((pair) => cookieOf(pair)?.name !== place.name);
        const joined = kept.join(";").trim();
        return joined === "" ? null : joined;
      });
  }
}

/** Takes all fields of the names off, which are in lower case and with `-` for `_`: many apps take the two for the same. */
export function withoutFields(headers: string[], names: ReadonlySet<string>): string[] {
  if (names.size === 0) return headers;
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!names.has(headers[i]!.toLowerCase().replaceAll("_", "-"))) kept.push(headers[i]!, headers[i + 1]!);
  }
  return kept;
}

function* textsAt(place: Place, { headers, target }: TokenCarrier): Iterable<string> {
  if (place.in === "param") {
    for (const pair of queryOf(target).split("&")) if (nameOf(pair) === place.name) yield decoded(valueOf(pair)) ?? "";
    return;
  }
  const field = place.in === "header" ? place.name : "cookie";
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length !== field.length || headers[i]!.toLowerCase() !== field) continue;
    if (place.in === "header") {
      const text = afterPrefix(headers[i + 1]!, place.prefix);
      if (text !== null) yield text;
    } else
      for (const pair of headers[i + 1]!.split(";")) {
        const cookie = cookieOf(pair);
        if (cookie?.name === place.name) yield cookie.value;
      }
  }
}

/**
 * The rest of a field behind its prefix, or null where that is another (`Basic`). In any case: a scheme's name has none (RFC
 * 9110 section 11.1), and who wrote `bearer` has brought a token.
 */
function afterPrefix(value: string, prefix: string): string | null {
  if (prefix === "") return value;
  if (value.slice(0, prefix.length).toLowerCase() !== prefix.toLowerCase()) return null;
  return value.slice(prefix.length).trim();
}

/** RFC 6265 section 4.2.1; a value may stand in quotes. */
function cookieOf(pair: string): { readonly name: string; readonly value: string } | null {
  const equals = pair.indexOf("=");
  if (equals < 0) return null;
  const value = pair.slice(equals + 1).trim();
  const isQuoted = value.length > 1 && value.startsWith('"') && value.endsWith('"');
  return { name: pair.slice(0, equals).trim(), value: isQuoted ? value.slice(1, -1) : value };
}

function withFields(headers: string[], lowerName: string, change: (value: string) => string | null): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const isIt = headers[i]!.toLowerCase() === lowerName;
    const value = isIt ? change(headers[i + 1]!) : headers[i + 1]!;
    if (value !== null) kept.push(headers[i]!, value);
  }
  return kept;
}

function queryOf(target: string): string {
  const mark = target.indexOf("?");
  return mark < 0 ? "" : target.slice(mark + 1);
}

/** All else of the query stays as it was sent. */
function withoutParam(target: string, name: string): string {
  const mark = target.indexOf("?");
  if (mark < 0) return target;
  const kept = target
    .slice(mark + 1)
    .split("&")
    .filter((pair) => nameOf(pair) !== name);
  return kept.length === 0 ? target.slice(0, mark) : `${target.slice(0, mark)}?${kept.join("&")}`;
}

function nameOf(pair: string): string | null {
  const equals = pair.indexOf("=");
  return decoded(equals < 0 ? pair : pair.slice(0, equals));
}

function valueOf(pair: string): string {
  const equals = pair.indexOf("=");
  return equals < 0 ? "" : pair.slice(equals + 1);
}

/** As forms are encoded; null: not so encoded. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return null;
  }
}
