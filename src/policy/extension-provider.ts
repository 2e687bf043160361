import { parseDuration } from "../core/duration.ts";
import { LIMITS } from "../core/limits.ts";
import type { Located } from "../core/located.ts";
import {
  addFault,
  boolean,
  type Field,
  integer,
  listOf,
  mapOf,
  object,
  optional,
  parsed,
  plainOf,
  refused,
  required,
  type Schema,
  type Scope,
  string,
  type ValueOf,
} from "../core/schema.ts";

/**
 * A server outside that policies with the action CUSTOM ask, as Istio's `meshConfig.extensionProviders` name it. Written
 * out as JSON it is the document that it was read from.
 */
export class ExtensionProvider {
  readonly name: string;
  readonly protocol: "grpc" | "http";
  /** A host name as the registry knows it. */
  readonly service: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** What the caller gets when the server cannot be had; 403 unless told. */
  readonly statusOnError: number;
  /** Null: the request's body is not shown. */
  readonly body: ShownBody | null;
  /** Of HTTP alone; of a gRPC provider all are as if left out. */
  readonly http: HttpProviderOptions;
  readonly #document: unknown;

  constructor(fields: ProviderFields, document: unknown) {
    const { envoyExtAuthzGrpc: grpc, envoyExtAuthzHttp: http, name } = fields;
    const either = (grpc ?? http)!;
    const { includeRequestBodyInCheck: body } = either;
    this.name = name;
    this.protocol = grpc === null ? "http" : "grpc";
    this.service = either.service;
    this.port = either.port;
    this.timeoutMs = either.timeout ?? DEFAULT_TIMEOUT_MS;
    this.statusOnError = either.statusOnError ?? 403;
    this.body =
      body === null
        ? null
        : {
            bytesMax: body.maxRequestBytes,
            mayBePartial: body.allowPartialMessage === true,
            isRaw: body.packAsBytes === true,
          };
    this.http = {
      pathPrefix: http?.pathPrefix ?? "",
      requestHeaders: http?.includeRequestHeadersInCheck ?? [],
      addedHeaders: [...(http?.includeAdditionalHeadersInCheck ?? [])],
      toUpstreamOnAllow: http?.headersToUpstreamOnAllow ?? [],
      toDownstreamOnAllow: http?.headersToDownstreamOnAllow ?? [],
      toDownstreamOnDeny: http?.headersToDownstreamOnDeny ?? null,
    };
    this.#document = document;
  }

  toJSON(): unknown {
    return this.#document;
  }
}

export interface ShownBody {
  readonly bytesMax: number;
  /** Whether a longer body is shown as far as it goes; else the caller gets 413. */
  readonly mayBePartial: boolean;
  /** As octets rather than as text; gRPC alone. */
  readonly isRaw: boolean;
}

export interface HttpProviderOptions {
  readonly pathPrefix: string;
  readonly requestHeaders: readonly HeaderPattern[];
  readonly addedHeaders: readonly (readonly [string, string])[];
  readonly toUpstreamOnAllow: readonly HeaderPattern[];
  readonly toDownstreamOnAllow: readonly HeaderPattern[];
  /** Null: all. */
  readonly toDownstreamOnDeny: readonly HeaderPattern[] | null;
}

/** Names of header fields: one, all that begin so, or all that end so. In lower case. */
export interface HeaderPattern {
  readonly kind: "exact" | "prefix" | "suffix";
  readonly text: string;
}

export function matchesHeader(patterns: readonly HeaderPattern[], lowerName: string): boolean {
  return patterns.some(({ kind, text }) => {
    if (kind === "exact") return lowerName === text;
    return kind === "prefix" ? lowerName.startsWith(text) : lowerName.endsWith(text);
  });
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** Istio's own rule (validateProviderName). */
const NAME = parsed(string(), (text) => {
  if (text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text)) return text;
  throw new Error(`expected a name of a-z, 0-9 and -, found ${JSON.stringify(text)}`);
});

/** `[namespace/]hostname`: the namespace is of use in a lookup of short names, which are not taken here. */
const SERVICE = parsed(string(), (text) => {
  const host = text.slice(text.indexOf("/") + 1).toLowerCase();
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(host) && host.length <= 253) return host;
  throw new Error(`expected a service like authz.tools.svc.cluster.local, found ${JSON.stringify(text)}`);
});

const TIMEOUT = parsed(string(), (text) => {
  const ms = parseDuration(text);
  if (ms >= 1 && ms <= LIMITS.admissionWaitMs) return ms;
  throw new Error(`is to lie between 1ms and ${LIMITS.admissionWaitMs / 1_000}s, the longest that a request waits`);
});

const STATUS = parsed(string(), (text) => {
  if (/^[45][0-9]{2}$/.test(text)) return Number(text);
  throw new Error(`expected the text of a status from 400 to 599, found ${JSON.stringify(text)}`);
});

const PATH_PREFIX = parsed(string(), (text) => {
  if (/^\/[-A-Za-z0-9._~!$&'()*+,;=:@/]*$/.test(text)) return text;
  throw new Error(`expected a path that begins with /, found ${JSON.stringify(text)}`);
});

const HEADER_NAME = /^[a-z0-9!#$%&'+.^_`|~-]+$/;

const PATTERN = parsed(string(), (text): HeaderPattern => {
  const lower = text.toLowerCase();
  // Istio's refusal, too (checkWildcard).
  if (lower === "*") throw new Error("does not take a single *; name a prefix or a suffix");
  const kind = lower.startsWith("*") ? "suffix" : lower.endsWith("*") ? "prefix" : "exact";
  const name = kind === "suffix" ? lower.slice(1) : kind === "prefix" ? lower.slice(0, -1) : lower;
  if (HEADER_NAME.test(name)) return { kind, text: name };
  throw new Error(
    `expected the name of a header, or the beginning or end of one with a *, found ${JSON.stringify(text)}`,
  );
});

const ADDED: Schema<ReadonlyMap<string, string>> = (value, scope) => {
  const added = mapOf(string({ allowEmpty: true }))(value, scope);
  for (const [name, text] of added ?? []) {
    if (!HEADER_NAME.test(name.toLowerCase()) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(text))
      return addFault(scope, value.at, `${JSON.stringify(name)} is no header that can be sent`);
  }
  return added;
};

/** Fail closed is not a setting. */
const FAIL_OPEN: Field<boolean | null> = optional((value, scope) => {
  const failsOpen = boolean()(value, scope);
  return failsOpen === true
    ? addFault(scope, value.at, "must be false: what cannot be asked about is denied here, whatever the reason")
    : failsOpen;
});

const BODY = object({
  maxRequestBytes: required(integer({ min: 1, max: LIMITS.extAuthzBodyBytesMax })),
  allowPartialMessage: optional(boolean()),
  packAsBytes: optional(boolean()),
});

const SHARED = {
  service: required(SERVICE),
  port: required(integer({ min: 1, max: 65_535 })),
  timeout: optional(TIMEOUT),
  failOpen: FAIL_OPEN,
  clearRouteCache: refused("has no meaning here: the server's answer never changes where a request goes"),
  statusOnError: optional(STATUS),
  includeRequestBodyInCheck: optional(BODY),
};

const PROVIDER = object({
  name: required(NAME),
  envoyExtAuthzGrpc: optional(object(SHARED)),
  envoyExtAuthzHttp: optional(
    object({
      ...SHARED,
      pathPrefix: optional(PATH_PREFIX),
      includeHeadersInCheck: refused("is deprecated by Istio: write includeRequestHeadersInCheck"),
      includeRequestHeadersInCheck: optional(listOf(PATTERN)),
      includeAdditionalHeadersInCheck: optional(ADDED),
      headersToUpstreamOnAllow: optional(listOf(PATTERN)),
      headersToDownstreamOnAllow: optional(listOf(PATTERN)),
      headersToDownstreamOnDeny: optional(listOf(PATTERN)),
    }),
  ),
});

type ProviderFields = ValueOf<typeof PROVIDER>;

/** Istio's `meshConfig.extensionProviders`, those that authorize. */
export const EXTENSION_PROVIDERS: Schema<readonly ExtensionProvider[]> = (value, scope) => {
  const providers = listOf(readProvider)(value, scope);
  const seen = new Set<string>();
  for (const { name } of providers ?? []) {
    if (seen.has(name)) return addFault(scope, value.at, `has two providers of the name ${name}`);
    seen.add(name);
  }
  return providers;
};

function readProvider(value: Located, scope: Scope): ExtensionProvider | undefined {
  const fields = PROVIDER(value, scope);
  if (fields === undefined) return undefined;
  if ((fields.envoyExtAuthzGrpc === null) === (fields.envoyExtAuthzHttp === null))
    return addFault(scope, value.at, "needs either envoyExtAuthzGrpc or envoyExtAuthzHttp; others are not supported");
  return new ExtensionProvider(fields, plainOf(value));
}
