import { POSITIVE_DURATION } from "../../core/duration-schema.ts";
import { assertChangeable, HEADER_NAME } from "../../core/header-names.ts";
import {
  addFault,
  boolean,
  listOf,
  object,
  oneOf,
  optional,
  parsed,
  required,
  type Schema,
  string,
  type ValueOf,
  withDefault,
} from "../../core/schema.ts";
import { parseKeySet, type VerificationKey } from "./key-set.ts";

/** One issuer's tokens: where they stand in a request, by which keys they are verified, and what the app gets of them. */
export interface JwtRule {
  /** Null: any, which Istio takes where there is a jwksUri. */
  readonly issuer: string | null;
  /** A token must be for one of them; empty: for anybody. */
  readonly audiences: readonly string[];
  readonly keys: KeySource;
  readonly places: TokenPlaces;
  /** False: the app does not get the token. */
  readonly isTokenForwarded: boolean;
  /** Lower-case name of the header that the payload goes to. */
  readonly payloadHeader: string | null;
  readonly claimHeaders: readonly ClaimHeader[];
  /** How long a fetch of the keys may take. */
  readonly timeoutMs: number;
  /** Claims whose texts are lists of words; `scope` and `permission` are always among them. */
  readonly spaceDelimitedClaims: readonly string[];
  /** `presence: REQUIRED`: a request without such a token is refused. */
  readonly isRequired: boolean;
}

/** Where a rule's keys come from; `discovery`: by OpenID Connect from the issuer's own metadata. */
export type KeySource =
  | { readonly from: "policy"; readonly keys: readonly VerificationKey[] }
  | { readonly from: "uri"; readonly uri: string }
  | { readonly from: "discovery"; readonly issuer: string };

/** Where a token is looked for. */
export interface TokenPlaces {
  /** Lower-case names. */
  readonly headers: readonly { readonly name: string; readonly prefix: string }[];
  readonly params: readonly string[];
  readonly cookies: readonly string[];
}

export interface ClaimHeader {
  readonly claim: string;
  /** Lower-case. */
  readonly header: string;
}

/** RFC 6750 sections 2.1 and 2.3, where a rule names no place. */
const DEFAULT_PLACES: TokenPlaces = {
  headers: [{ name: "authorization", prefix: "Bearer " }],
  params: ["access_token"],
  cookies: [],
};

const KEYS_TIMEOUT_MS = 5_000;
const SPACE_DELIMITED = ["permission", "scope"];
const SPACE_DELIMITED_MAX = 64;
const URI_LENGTH_MAX = 2_048;

/** A header that a sidecar writes from claims: nobody else's, and no place of credentials. */
const OUTPUT_HEADER = parsed(HEADER_NAME, (name) => {
  if (name === "host") throw new Error("host says where a request goes: write claims to a header of their own");
  assertChangeable(name);
  if (name === "authorization" || name === "cookie")
    throw new Error(`${name} carries credentials of the caller: write claims to a header of their own`);
  return name;
});

const CLAIM_HEADER_NAME = parsed(OUTPUT_HEADER, (name) => {
  if (/^[-_a-z0-9]+$/.test(name)) return name;
  throw new Error("expected a header's name of letters, digits, - and _");
});

const JWKS_URI = parsed(string(), (text) => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:") || text.length > URI_LENGTH_MAX)
    throw new Error(`expected an URL with https://, found ${JSON.stringify(text.slice(0, 80))}`);
  if (url.username !== "" || url.password !== "") throw new Error("must not have a user or a password in it");
  return text;
});

const COOKIE_NAME = parsed(string(), (text) => {
  if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)) return text;
  throw new Error(`expected the name of a cookie, found ${JSON.stringify(text.slice(0, 80))}`);
});

const FIELDS = object({
  issuer: optional(string()),
  audiences: withDefault(listOf(string()), []),
  jwksUri: optional(JWKS_URI),
  /** How older releases of Istio wrote it. */
  jwks_uri: optional(JWKS_URI),
  jwks: optional(parsed(string(), parseKeySet)),
  fromHeaders: withDefault(
    listOf(object({ name: required(HEADER_NAME), prefix: withDefault(string({ allowEmpty: true }), "") })),
    [],
  ),
  fromParams: withDefault(listOf(string()), []),
  fromCookies: withDefault(listOf(COOKIE_NAME), []),
  outputPayloadToHeader: optional(OUTPUT_HEADER),
  outputClaimToHeaders: withDefault(
    listOf(object({ header: required(CLAIM_HEADER_NAME), claim: required(string()) })),
    [],
  ),
  forwardOriginalToken: withDefault(boolean(), false),
  timeout: withDefault(POSITIVE_DURATION, KEYS_TIMEOUT_MS),
  spaceDelimitedClaims: withDefault(listOf(string()), []),
  presence: withDefault(oneOf("OPTIONAL", "REQUIRED"), "OPTIONAL"),
});

/** security/v1 JWTRule. */
export const JWT_RULE: Schema<JwtRule> = (value, scope) => {
  const fields = FIELDS(value, scope);
  if (fields === undefined) return undefined;
  const problem = problemOf(fields);
  if (problem !== null) return addFault(scope, value.at, problem.message, problem.field);
  const { fromHeaders, fromParams, fromCookies } = fields;
  const isPlaced = fromHeaders.length + fromParams.length + fromCookies.length > 0;
  return {
    issuer: fields.issuer,
    audiences: fields.audiences,
    keys: keySourceOf(fields),
    places: isPlaced ? { headers: fromHeaders, params: fromParams, cookies: fromCookies } : DEFAULT_PLACES,
    isTokenForwarded: fields.forwardOriginalToken,
    payloadHeader: fields.outputPayloadToHeader,
    claimHeaders: fields.outputClaimToHeaders,
    timeoutMs: fields.timeout,
    spaceDelimitedClaims: [...new Set([...SPACE_DELIMITED, ...fields.spaceDelimitedClaims])],
    isRequired: fields.presence === "REQUIRED",
  };
};

type Fields = ValueOf<typeof FIELDS>;

interface Problem {
  readonly field: string;
  readonly message: string;
}

/** What only several fields together say. */
function problemOf(fields: Fields): Problem | null {
  const uris = [fields.jwksUri, fields.jwks_uri].filter((uri) => uri !== null);
  if (uris.length + (fields.jwks === null ? 0 : 1) > 1)
    return { field: "jwksUri", message: "only one of jwksUri and jwks can be set" };
  if (fields.issuer === null && uris.length === 0)
    return { field: "issuer", message: "is required where there is no jwksUri" };
  if (fields.spaceDelimitedClaims.length > SPACE_DELIMITED_MAX)
    return { field: "spaceDelimitedClaims", message: `may not have more than ${SPACE_DELIMITED_MAX} values` };
  const outputs = [...fields.outputClaimToHeaders.map(({ header }) => header), fields.outputPayloadToHeader];
  const written = outputs.filter((each) => each !== null);
  const twice = written.find((each, index) => written.indexOf(each) !== index);
  if (twice !== undefined) return { field: "outputClaimToHeaders", message: `${twice} is written twice` };
  const read = written.find((each) => fields.fromHeaders.some(({ name }) => name === each));
  if (read !== undefined) return { field: "fromHeaders", message: `${read} is written by this rule, and read as well` };
  return null;
}

function keySourceOf({ jwks, jwksUri, jwks_uri, issuer }: Fields): KeySource {
  if (jwks !== null) return { from: "policy", keys: jwks };
  const uri = jwksUri ?? jwks_uri;
  if (uri !== null) return { from: "uri", uri };
  return { from: "discovery", issuer: issuer ?? "" };
}
