/** What the fields of an extension provider mean, below its kind. */
const SHARED: Readonly<Record<string, string>> = {
  "": "",
  service: "The server's host name, as the registry knows it; a namespace may stand before it, with a slash.",
  port: "Its service's port.",
  timeout: "How long it may take; 10s unless told.",
  failOpen: "Must be false where it is given.",
  clearRouteCache: "",
  statusOnError: "What the caller gets when the server cannot be asked; 403 unless told.",
  includeRequestBodyInCheck: "Shows the server the request's body.",
  "includeRequestBodyInCheck.maxRequestBytes": "As much of it as is held; a longer one gets 413.",
  "includeRequestBodyInCheck.allowPartialMessage": "A longer one is shown as far as that goes.",
  "includeRequestBodyInCheck.packAsBytes": "As octets; by gRPC alone.",
};

const HTTP: Readonly<Record<string, string>> = {
  pathPrefix: "Stands before the request's path.",
  includeHeadersInCheck: "",
  includeRequestHeadersInCheck:
    "Headers that the server sees, besides authorization: names, or `prefix*` or `*suffix`.",
  includeAdditionalHeadersInCheck: "Headers that are added for the server.",
  headersToUpstreamOnAllow: "Headers of its answer that the request gets.",
  headersToDownstreamOnAllow: "Headers of its answer that the caller gets, if it allows.",
  headersToDownstreamOnDeny: "Headers of its answer that a denied caller gets; all unless told.",
};

/** By path in the Mesh document. */
export function providerMeanings(at: string): Readonly<Record<string, string>> {
  const below = (name: string, fields: Readonly<Record<string, string>>) =>
    Object.entries(fields).map(([field, means]) => [`${at}[].${name}${field === "" ? "" : `.${field}`}`, means]);
  return Object.fromEntries([
    [at, "The servers that CUSTOM policies may name, as Istio's meshConfig.extensionProviders has them."],
    [`${at}[].name`, "What `provider.name` of a policy says."],
    ...below("envoyExtAuthzGrpc", { ...SHARED, "": "A server that speaks Envoy's ext_authz over gRPC." }),
    ...below("envoyExtAuthzHttp", { ...SHARED, ...HTTP, "": "One that is asked by an HTTP request: 200 allows." }),
  ]);
}
