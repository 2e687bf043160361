import type { JsonObject } from "../../core/json-value.ts";
import { SECURITY_API_VERSIONS } from "../../policy/document-parts.ts";
import { TELEMETRY_API_VERSIONS } from "../../policy/telemetry.ts";
import { NETWORKING_API_VERSIONS } from "../../traffic/api-versions.ts";
import { bounded, crd, listOfAtMost, rule } from "./crd.ts";

/**
 * A map whose fields the API server keeps even where it does not know them. A field that it dropped would leave a policy
 * that says less than what was written, perhaps one that lets more through: the engine has to see it, and refuse it.
 */
function open(properties: JsonObject, more: JsonObject = {}): JsonObject {
  // The server drops an empty one, and each apply would be a change.
  const known = Object.keys(properties).length === 0 ? {} : { properties };
  return { type: "object", ...known, "x-kubernetes-preserve-unknown-fields": true, ...more };
}

const TEXTS = listOfAtMost(1_024, bounded(4_096));
const ANYTHING = open({});

const LABELS: JsonObject = { type: "object", additionalProperties: bounded(63), maxProperties: 64 };

const SELECTOR = open({ matchLabels: LABELS });

const SOURCE = open(
  textLists(["principals", "requestPrincipals", "namespaces", "serviceAccounts", "ipBlocks", "remoteIpBlocks"]),
);

const OPERATION = open(textLists(["hosts", "ports", "methods", "paths"]));

/** Each of them has a twin for what must not match. */
function textLists(names: readonly string[]): JsonObject {
  const twins = names.map((name) => `not${name[0]!.toUpperCase()}${name.slice(1)}`);
  return Object.fromEntries([...names, ...twins].map((name) => [name, TEXTS]));
}

const CONDITION = open(
  { key: bounded(1_024, { minLength: 1 }), values: TEXTS, notValues: TEXTS },
  {
    required: ["key"],
    "x-kubernetes-validations": [rule("has(self.values) || has(self.notValues)", "when needs values or notValues")],
  },
);

const RULE = open({
  from: listOfAtMost(512, open({ source: SOURCE })),
  to: listOfAtMost(512, open({ operation: OPERATION })),
  when: listOfAtMost(64, CONDITION),
});

const AUTHORIZATION_POLICY = open(
  {
    selector: SELECTOR,
    targetRef: ANYTHING,
    targetRefs: listOfAtMost(16, ANYTHING),
    action: { type: "string", enum: ["ALLOW", "DENY", "AUDIT", "CUSTOM"] },
    provider: open({ name: bounded(253, { minLength: 1 }) }),
    rules: listOfAtMost(512, RULE),
  },
  {
    "x-kubernetes-validations": [
      rule(
        "[has(self.selector), has(self.targetRef), has(self.targetRefs)].filter(each, each).size() <= 1",
        "only one of selector, targetRef and targetRefs",
      ),
      rule(
        "has(self.provider) == (has(self.action) && self.action == 'CUSTOM')",
        "a provider goes with the action CUSTOM, and CUSTOM needs one",
      ),
    ],
  },
);

const JWT_RULE = open(
  {
    issuer: bounded(2_048, { minLength: 1 }),
    audiences: TEXTS,
    jwksUri: bounded(2_048, { minLength: 1 }),
    jwks: bounded(131_072),
    fromHeaders: listOfAtMost(64, open({ name: bounded(256, { minLength: 1 }), prefix: bounded(256) })),
    fromParams: TEXTS,
    fromCookies: TEXTS,
    outputPayloadToHeader: bounded(256),
    outputClaimToHeaders: listOfAtMost(
      64,
      open({ header: bounded(256, { minLength: 1 }), claim: bounded(1_024, { minLength: 1 }) }),
    ),
    forwardOriginalToken: { type: "boolean" },
    timeout: bounded(64),
    spaceDelimitedClaims: listOfAtMost(64, bounded(1_024)),
    presence: { type: "string", enum: ["OPTIONAL", "REQUIRED"] },
  },
  {
    "x-kubernetes-validations": [
      rule("!has(self.jwks) || !has(self.jwksUri)", "only one of jwks or jwksUri can be set"),
      rule("has(self.issuer) || has(self.jwksUri)", "issuer is needed where there is no jwksUri"),
    ],
  },
);

const REQUEST_AUTHENTICATION = open({
  selector: SELECTOR,
  targetRef: ANYTHING,
  targetRefs: listOfAtMost(16, ANYTHING),
  jwtRules: listOfAtMost(4_096, JWT_RULE),
});

const MUTUAL_TLS = open({ mode: { type: "string", enum: ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] } });

const PEER_AUTHENTICATION = open(
  {
    selector: SELECTOR,
    mtls: MUTUAL_TLS,
    portLevelMtls: { type: "object", additionalProperties: MUTUAL_TLS, minProperties: 1, maxProperties: 1_024 },
  },
  {
    "x-kubernetes-validations": [
      rule(
        "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0)",
        "portLevelMtls needs a selector with labels",
      ),
    ],
  },
);

const TELEMETRY = open({
  selector: SELECTOR,
  accessLogging: listOfAtMost(
    64,
    open({
      match: open({ mode: { type: "string", enum: ["CLIENT_AND_SERVER", "CLIENT", "SERVER"] } }),
      disabled: { type: "boolean" },
    }),
  ),
});

const HOST = bounded(253, { minLength: 1 });
const EXPORT_TO = listOfAtMost(64, bounded(63));

const DESTINATION_RULE = open(
  {
    host: HOST,
    trafficPolicy: ANYTHING,
    subsets: listOfAtMost(256, open({ name: bounded(63, { minLength: 1 }), labels: LABELS }, { required: ["name"] })),
    exportTo: EXPORT_TO,
    workloadSelector: SELECTOR,
  },
  {
    required: ["host"],
    "x-kubernetes-validations": [
      rule(
        "!has(self.subsets) || self.subsets.all(one, self.subsets.exists_one(other, other.name == one.name))",
        "the names of subsets differ",
      ),
    ],
  },
);

const VIRTUAL_SERVICE = open(
  {
    hosts: listOfAtMost(256, HOST),
    gateways: listOfAtMost(64, bounded(317)),
    http: listOfAtMost(512, ANYTHING),
    tls: listOfAtMost(512, ANYTHING),
    tcp: listOfAtMost(512, ANYTHING),
    exportTo: EXPORT_TO,
  },
  {
    "x-kubernetes-validations": [
      rule("has(self.http) || has(self.tls) || has(self.tcp)", "needs routes: http, tls or tcp"),
    ],
  },
);

const SIDECAR = open({
  workloadSelector: open({ labels: LABELS }),
  egress: listOfAtMost(128, open({ hosts: listOfAtMost(1_024, bounded(317)) })),
  ingress: listOfAtMost(128, ANYTHING),
  outboundTrafficPolicy: ANYTHING,
});

/** Istio's kinds that we read, for clusters without Istio. Where Istio's own are, they are the right ones. */
export const ISTIO_CRDS: readonly JsonObject[] = [
  crd({
    group: "security.istio.io",
    kind: "AuthorizationPolicy",
    plural: "authorizationpolicies",
    shortNames: ["ap"],
    categories: ["istio-io", "security-istio-io"],
    versions: versionsOf(SECURITY_API_VERSIONS),
    spec: AUTHORIZATION_POLICY,
    hasStatus: true,
    columns: [{ name: "Action", type: "string", jsonPath: ".spec.action" }],
  }),
  crd({
    group: "security.istio.io",
    kind: "RequestAuthentication",
    plural: "requestauthentications",
    shortNames: ["ra"],
    categories: ["istio-io", "security-istio-io"],
    versions: versionsOf(SECURITY_API_VERSIONS),
    spec: REQUEST_AUTHENTICATION,
    hasStatus: true,
    columns: [],
  }),
  crd({
    group: "security.istio.io",
    kind: "PeerAuthentication",
    plural: "peerauthentications",
    shortNames: ["pa"],
    categories: ["istio-io", "security-istio-io"],
    versions: versionsOf(SECURITY_API_VERSIONS),
    spec: PEER_AUTHENTICATION,
    hasStatus: true,
    columns: [{ name: "Mode", type: "string", jsonPath: ".spec.mtls.mode" }],
  }),
  crd({
    group: "telemetry.istio.io",
    kind: "Telemetry",
    plural: "telemetries",
    shortNames: ["telemetry"],
    categories: ["istio-io", "telemetry-istio-io"],
    versions: versionsOf(TELEMETRY_API_VERSIONS),
    spec: TELEMETRY,
    hasStatus: true,
    columns: [],
  }),
  crd({
    group: "networking.istio.io",
    kind: "DestinationRule",
    plural: "destinationrules",
    shortNames: ["dr"],
    categories: ["istio-io", "networking-istio-io"],
    versions: versionsOf(NETWORKING_API_VERSIONS),
    spec: DESTINATION_RULE,
    hasStatus: true,
    columns: [{ name: "Host", type: "string", jsonPath: ".spec.host" }],
  }),
  crd({
    group: "networking.istio.io",
    kind: "VirtualService",
    plural: "virtualservices",
    shortNames: ["vs"],
    categories: ["istio-io", "networking-istio-io"],
    versions: versionsOf(NETWORKING_API_VERSIONS),
    spec: VIRTUAL_SERVICE,
    hasStatus: true,
    columns: [
      { name: "Gateways", type: "string", jsonPath: ".spec.gateways" },
      { name: "Hosts", type: "string", jsonPath: ".spec.hosts" },
    ],
  }),
  crd({
    group: "networking.istio.io",
    kind: "Sidecar",
    plural: "sidecars",
    shortNames: [],
    categories: ["istio-io", "networking-istio-io"],
    versions: versionsOf(NETWORKING_API_VERSIONS),
    spec: SIDECAR,
    hasStatus: true,
    columns: [],
  }),
];

/** `group/v1` → `v1`. */
function versionsOf(apiVersions: readonly string[]): readonly string[] {
  return apiVersions.map((each) => each.split("/")[1]!);
}
