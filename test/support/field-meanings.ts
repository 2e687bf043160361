import { providerMeanings } from "./provider-meanings.ts";

/** What the fields of a Mesh document mean; the rest of docs/reference/mesh-file.md comes from the parser. */
export const MESH_FIELD_MEANINGS: Readonly<Record<string, string>> = {
  apiVersion: "",
  kind: "",
  metadata: "",
  "metadata.name": "The mesh's name; the state directory is called after it.",
  spec: "",
  "spec.trustDomain": "The first part of every SPIFFE ID.",
  "spec.trustDomainAliases": "Other names of the same trust domain, e.g. while it is being renamed.",
  "spec.rootNamespace": "Policies of this namespace hold in the whole mesh.",
  "spec.enforcement": "AUDIT: what would be denied is recorded as `would-deny`, and nothing is blocked.",
  "spec.defaultAction": "Holds where no ALLOW policy selects the workload.",
  ...providerMeanings("spec.extensionProviders"),
  "spec.pathNormalization": "What is done to a path before it is matched and forwarded; as Istio's meshConfig has it.",
  "spec.numTrustedProxies":
    "Proxies before the mesh that each add to X-Forwarded-For whom they were called by; remoteIpBlocks means the address so many from its right. 0: the connection's.",
  "spec.policies": "Directory of the policy files, from the mesh file's own.",
  "spec.policiesGit":
    "A git repository that policies come from instead of the directory (docs/guides/policies-from-git.md).",
  "spec.policiesGit.url": "https://…, ssh://… or user@host:path.",
  "spec.policiesGit.ref": "A branch (main), a full name like refs/tags/v1, or a commit's forty digits.",
  "spec.policiesGit.path": "Directory in the repository (policies); `.`: all of it.",
  "spec.policiesGit.pollSec": "How often it is looked at (30).",
  "spec.policiesGit.allowedSigners": "File of SSH's allowed signers: only commits that one of them signed count.",
  "spec.policiesGit.allowFile": "Whether the repository may lie on this machine.",
  "spec.workloadCertTtlSec": "Lifetime of a workload's certificate; it is renewed before half of it has passed.",
  "spec.controlPort": "Port of the control plane, when it should be a certain one.",
  "spec.protocolDetectionTimeoutMs":
    "How long a client may be silent on a port of no declared protocol (AUTO) before its bytes are opaque.",
  "spec.tracing": "Tracing: spans of requests go to the control plane, and from there to a collector outside.",
  "spec.tracing.endpoint":
    "That collector, as http://collector:4317; over HTTP /v1/traces of it, unless it has a path.",
  "spec.tracing.protocol": "What is spoken to it.",
  "spec.tracing.samplingPercentage":
    "Of how many traces that begin in the mesh spans are made; of others their beginning decides.",
  "spec.tracing.requestsPerSecond":
    "Of how many requests in a second one sidecar reports spans; denials and errors that nobody asked for have as many beside.",
  "spec.flowStore":
    "Whether flow records go to the control plane, which keeps them for `cardea edges` and `cardea top`; files are written in any case.",
  "spec.flowSampleOneIn":
    "Of flows that were simply allowed, the store is sent one in so many, which stands for all of them; denials and errors are sent each.",
  "spec.jwks": "From where the control plane may fetch the keys of token issuers.",
  "spec.jwks.allowHttp": "Plain http as well as https.",
  "spec.jwks.allowAddresses":
    "Address ranges to fetch from though they are loopback, link-local or a cloud's metadata.",
  "spec.jwks.caFile": "PEM file of authorities that are believed besides the well-known ones; an absolute path.",
  "spec.services": "The workloads, each with a sidecar of its own.",
  "spec.services[].name": "",
  "spec.services[].namespace": "",
  "spec.services[].serviceAccount": "The last part of its SPIFFE ID.",
  "spec.services[].labels": "What policies select by.",
  "spec.services[].ports": "Where it serves.",
  "spec.services[].ports[].port": "The port that callers and policies name; the app may listen on another one (PORT).",
  "spec.services[].ports[].protocol":
    "What the app speaks there. AUTO: the first bytes tell, and a server that speaks first is heard only when the client has been silent for the time above. HTTP2 and GRPC: HTTP/2 from the first byte. TLS: the app's own, which passes through.",
  "spec.services[].app": "How the app comes to be there: `command` or `address`.",
  "spec.services[].app.command":
    "Started with the sidecar, in the mesh file's directory, and started again when it ends.",
  "spec.services[].app.address": "Where an app that runs on its own listens, e.g. `127.0.0.1:3000`.",
  "spec.services[].upstreams": "Fixed local ports at which the app finds other services.",
  "spec.services[].upstreams[].name": "The app is told the port as CARDEA_UPSTREAM_<NAME>.",
  "spec.services[].upstreams[].service": "`orders`, `orders.shop` or `orders.shop.svc.cluster.local`.",
  "spec.services[].upstreams[].port": "The service's port.",
  "spec.services[].upstreams[].localPort": "The local port, when it should be a certain one.",
  "spec.services[].enforcement": "As the mesh's, for this workload alone.",
  "spec.services[].outboundPort": "Port of the sidecar's forward proxy, when it should be a certain one.",
};

/** What is taken when a field of a Mesh document is left out, where that is not nothing. */
export const MESH_FIELD_DEFAULTS: Readonly<Record<string, string>> = {
  "spec.services[].serviceAccount": "its name",
  "spec.services[].labels": "`app: NAME`",
  "spec.services[].ports[].protocol": "HTTP",
  "spec.services[].enforcement": "the mesh's",
  "spec.services[].upstreams[].name": "the first part of `service`",
};

const TEXT_MATCH = "`*`, `prefix*`, `*suffix` or an exact value.";

/** What the fields of an AuthorizationPolicy mean; every `notX` is the opposite of its `X`. */
export const POLICY_FIELD_MEANINGS: Readonly<Record<string, string>> = {
  apiVersion: "",
  kind: "",
  metadata: "What kubectl adds to it is passed over.",
  "metadata.name": "",
  "metadata.namespace":
    "The policy holds in this namespace; in the mesh's root namespace, everywhere. `default` when left out.",
  "metadata.labels": "",
  "metadata.annotations":
    '`istio.io/dry-run: "true"` on an ALLOW or DENY policy: it is evaluated and recorded, not enforced. Others are passed over.',
  spec: "Empty (`{}`): an ALLOW policy that allows nothing.",
  "spec.selector": "Left out: every workload of the namespace.",
  "spec.selector.matchLabels": "Labels that a workload must have, all of them.",
  "spec.targetRef": "",
  "spec.targetRefs": "",
  "spec.action":
    "ALLOW unless told. AUDIT marks what it matches in the flow record and decides nothing. CUSTOM has a server outside asked about what its rules match, before DENY and ALLOW.",
  "spec.provider": "Of CUSTOM: who is asked.",
  "spec.provider.name": "One of the mesh's extension providers.",
  "spec.rules": "The policy matches when one of them does. `[{}]` matches everything.",
  "spec.rules[].from": "One of them must match.",
  "spec.rules[].from[].source": "All of its fields must match.",
  "spec.rules[].from[].source.principals": `SPIFFE IDs without \`spiffe://\`: ${TEXT_MATCH}`,
  "spec.rules[].from[].source.requestPrincipals": "",
  "spec.rules[].from[].source.namespaces": `Namespace of the caller's SPIFFE ID: ${TEXT_MATCH}`,
  "spec.rules[].from[].source.serviceAccounts": "`namespace/name`, or `name` in the policy's namespace.",
  "spec.rules[].from[].source.trustDomains": `Trust domain of the caller's SPIFFE ID: ${TEXT_MATCH}`,
  "spec.rules[].from[].source.ipBlocks": "Addresses or CIDR blocks; the connection's own source address.",
  "spec.rules[].from[].source.remoteIpBlocks":
    "Addresses or CIDR blocks; so far the same as `ipBlocks`, since no proxy before the mesh is trusted to name its client.",
  "spec.rules[].to": "One of them must match.",
  "spec.rules[].to[].operation": "All of its fields must match.",
  "spec.rules[].to[].operation.hosts": `Compared without case: ${TEXT_MATCH}`,
  "spec.rules[].to[].operation.ports": "Container ports.",
  "spec.rules[].to[].operation.methods": TEXT_MATCH,
  "spec.rules[].to[].operation.paths": `The normalised path without its query: ${TEXT_MATCH} Or a template: \`{*}\` is one segment, \`{**}\` any number.`,
  "spec.rules[].when": "All of them must match.",
  "spec.rules[].when[].key": "One of the keys below.",
  "spec.rules[].when[].values": "One of them must match.",
  "spec.rules[].when[].notValues": "None of them may match.",
  status: "",
};
