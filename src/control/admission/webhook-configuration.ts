import { GATEWAY_API_VERSIONS, NETWORKING_API_VERSIONS } from "../../traffic/api-versions.ts";
import { TELEMETRY_API_VERSIONS } from "../../policy/telemetry.ts";
import { SECURITY_API_VERSIONS } from "../../policy/document-parts.ts";

export interface WebhookOptions {
  /** Of the control plane, where policies hold for the whole mesh. */
  readonly rootNamespace: string;
  readonly service: { readonly name: string; readonly port: number };
  /** Null: the installation that holds for namespaces without the label `cardea.dev/rev`. */
  readonly revision: string | null;
  /** Namespaces that never wait for us; the root namespace is always one of them. */
  readonly excludedNamespaces: readonly string[];
  /** PEM; null until the control plane fills it in. */
  readonly caBundle: string | null;
}

/** Paths of the HTTPS server, and names of the configurations, which the control plane patches. */
export const WEBHOOK_PATHS = { inject: "/inject", pods: "/validate/pods", policies: "/validate/policies" } as const;
export const WEBHOOK_NAMES = { injector: "cardea-injector", validator: "cardea-validator" } as const;

/** Where the API server finds us; 443 is its default and needs a right that we do not want. */
export const WEBHOOK_PORT = 15_017;

export const DEFAULT_WEBHOOK_OPTIONS: WebhookOptions = {
  rootNamespace: "cardea-system",
  service: { name: "cardea-control", port: WEBHOOK_PORT },
  revision: null,
  excludedNamespaces: ["kube-system", "kube-public", "kube-node-lease"],
  caBundle: null,
};

/** The names of a revision's configurations. */
export function webhookNames(revision: string | null): { readonly injector: string; readonly validator: string } {
  const suffix = revision === null ? "" : `-${revision}`;
  return { injector: `${WEBHOOK_NAMES.injector}${suffix}`, validator: `${WEBHOOK_NAMES.validator}${suffix}` };
}

/**
 * The objects by which the API server knows when to ask us, and what to do when we do not answer (ADR 0023).
 *
 * - Pods that are to be injected wait for us (`Fail`): without us they would run outside of the mesh, and nobody would
 *   know. Nobody else's pods do: selectors and conditions are decided by the API server itself, which asks only about
 *   namespaces and pods that have our label, and never about kube-system and the like, our own namespace, mirrors of
 *   static pods, pods of the node's network, and pods that are being deleted.
 * - Pods of namespaces in audit mode do not wait for the validator (`Ignore`): it only warns. In enforce mode they do.
 * - Policies wait; those of our own namespace do not, since they may come before us in one installation. The revision
 *   without a name judges them: a policy holds for all revisions, and one that is only tried must not hold it up.
 */
export function webhookConfigurations(options: WebhookOptions = DEFAULT_WEBHOOK_OPTIONS): readonly object[] {
  const names = webhookNames(options.revision);
  const metadata = (name: string): object => ({
    name,
    labels: {
      "app.kubernetes.io/name": "cardea",
      ...(options.revision === null ? {} : { [REVISION]: options.revision }),
    },
  });
  return [
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata: metadata(names.injector),
      webhooks: injectors(options),
    },
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: metadata(names.validator),
      webhooks: [...podValidators(options), ...(options.revision === null ? policyValidators(options) : [])],
    },
  ];
}

const INJECT = "cardea.dev/inject";
const REVISION = "cardea.dev/rev";
/** Of a namespace: `audit` or `enforce`. */
const BYPASS_MODE = "cardea.dev/bypass-checks";
const YES = ["enabled", "true"];
const NO = ["disabled", "false"];
/** Written by the API server itself on each namespace; nobody can leave it out. */
export const NAMESPACE_NAME = "kubernetes.io/metadata.name";

interface Expression {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values?: readonly string[];
}

/** Two, since one selector is "and" only: pods of namespaces that say yes, and pods that say yes for themselves. */
function injectors(options: WebhookOptions): readonly object[] {
  const common = {
    ...call(options, WEBHOOK_PATHS.inject),
    rules: [{ apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"], scope: "Namespaced" }],
    failurePolicy: "Fail",
    // What other webhooks have added after us, a container with a port say, is seen.
    reinvocationPolicy: "IfNeeded",
    timeoutSeconds: 10,
    matchConditions: [NOT_A_MIRROR, NOT_THE_NODES_NETWORK],
  };
  return [
    {
      ...common,
      name: "namespace.inject.cardea.dev",
      namespaceSelector: selector(meshedNamespaces(options)),
      objectSelector: selector([says(INJECT, "NotIn", NO)]),
    },
    {
      ...common,
      name: "pod.inject.cardea.dev",
      namespaceSelector: selector(otherNamespaces(options)),
      objectSelector: selector(podSaysYes(options)),
    },
  ];
}

function podValidators(options: WebhookOptions): readonly object[] {
  const { excludedNamespaces: _, ...rest } = options;
  const common = {
    ...call(rest, WEBHOOK_PATHS.pods),
    rules: [
      {
        apiGroups: [""],
        apiVersions: ["v1"],
        resources: ["pods"],
        operations: ["CREATE", "UPDATE"],
        scope: "Namespaced",
      },
      {
        apiGroups: [""],
        apiVersions: ["v1"],
        resources: ["pods/ephemeralcontainers"],
        operations: ["UPDATE"],
        scope: "Namespaced",
      },
    ],
    timeoutSeconds: 5,
    matchConditions: [NOT_A_MIRROR, NOT_LEAVING, CHANGES_WHAT_RUNS],
  };
  const enforced = says(BYPASS_MODE, "In", ["enforce"]);
  const audited = says(BYPASS_MODE, "NotIn", ["enforce"]);
  return [
    {
      ...common,
      name: "enforced.pods.cardea.dev",
      failurePolicy: "Fail",
      namespaceSelector: selector([...meshedNamespaces(options), enforced]),
      objectSelector: {},
    },
    {
      ...common,
      name: "audited.pods.cardea.dev",
      failurePolicy: "Ignore",
      namespaceSelector: selector([...meshedNamespaces(options), audited]),
      objectSelector: {},
    },
    {
      ...common,
      name: "single.pods.cardea.dev",
      failurePolicy: "Ignore",
      namespaceSelector: selector(otherNamespaces(options)),
      objectSelector: selector(podSaysYes(options)),
    },
  ];
}

function policyValidators(options: WebhookOptions): readonly object[] {
  const elsewhere = selector([outside([...options.excludedNamespaces, options.rootNamespace])]);
  const kinds = [
    policies(
      "authorization",
      SECURITY_API_VERSIONS,
      ["authorizationpolicies", "requestauthentications", "peerauthentications"],
      [],
    ),
    policies("telemetry", TELEMETRY_API_VERSIONS, ["telemetries"], [FOR_LOGS]),
    // Those of Istio's gateways alone are not for sidecars; a rule without gateways is.
    policies("traffic", NETWORKING_API_VERSIONS, ["destinationrules", "virtualservices", "sidecars"], [FOR_SIDECARS]),
    policies("routes", GATEWAY_API_VERSIONS, ["httproutes", "grpcroutes"], [FOR_SERVICES]),
  ];
  const common = { ...call(options, WEBHOOK_PATHS.policies), timeoutSeconds: 5, objectSelector: {} };
  return [
    ...kinds.map(({ name, rules, matchConditions }) => ({
      ...common,
      name: `${name}.policies.cardea.dev`,
      rules,
      matchConditions,
      failurePolicy: "Fail",
      namespaceSelector: elsewhere,
    })),
    ...kinds.map(({ name, rules, matchConditions }) => ({
      ...common,
      name: `root.${name}.policies.cardea.dev`,
      rules,
      matchConditions,
      failurePolicy: "Ignore",
      namespaceSelector: selector([says(NAMESPACE_NAME, "In", [options.rootNamespace])]),
    })),
  ];
}

/** Of Telemetry access logging is all that we read. */
const FOR_LOGS = {
  name: "speaks-of-access-logs",
  expression: "request.operation == 'DELETE' || (has(object.spec) && has(object.spec.accessLogging))",
};

// oxlint-disable-next-line eslint/max-params
function policies(
  name: string,
  apiVersions: readonly string[],
  resources: readonly string[],
  conditions: readonly object[],
) {
  const [group] = apiVersions[0]!.split("/");
  const versions = apiVersions.map((each) => each.split("/")[1]!);
  const rule = { apiGroups: [group!], apiVersions: versions, resources, operations: ["CREATE", "UPDATE"], scope: "*" };
  return { name, rules: [rule], matchConditions: [NOT_LEAVING, ...conditions] };
}

function call({ rootNamespace, service, caBundle }: Omit<WebhookOptions, "excludedNamespaces">, path: string) {
  return {
    clientConfig: {
      service: { name: service.name, namespace: rootNamespace, path, port: service.port },
      ...(caBundle === null ? {} : { caBundle: Buffer.from(caBundle).toString("base64") }),
    },
    admissionReviewVersions: ["v1"],
    sideEffects: "None",
    matchPolicy: "Equivalent",
  };
}

/** Namespaces whose pods are ours to inject. */
function meshedNamespaces({ revision, rootNamespace, excludedNamespaces }: WebhookOptions): readonly Expression[] {
  const never = outside([...excludedNamespaces, rootNamespace]);
  if (revision !== null) return [says(REVISION, "In", [revision]), says(INJECT, "NotIn", NO), never];
  return [says(INJECT, "In", YES), { key: REVISION, operator: "DoesNotExist" }, never];
}

/** Namespaces that say nothing, where a pod may speak for itself. */
function otherNamespaces({ rootNamespace, excludedNamespaces }: WebhookOptions): readonly Expression[] {
  return [
    says(INJECT, "NotIn", YES),
    { key: REVISION, operator: "DoesNotExist" },
    outside([...excludedNamespaces, rootNamespace]),
  ];
}

function podSaysYes({ revision }: WebhookOptions): readonly Expression[] {
  if (revision !== null) return [says(REVISION, "In", [revision]), says(INJECT, "NotIn", NO)];
  return [says(INJECT, "In", YES), { key: REVISION, operator: "DoesNotExist" }];
}

/** NotIn holds for objects without the label, too. */
function says(key: string, operator: "In" | "NotIn", values: readonly string[]): Expression {
  return { key, operator, values };
}

function outside(namespaces: readonly string[]): Expression {
  return says(NAMESPACE_NAME, "NotIn", [...new Set(namespaces)]);
}

function selector(matchExpressions: readonly Expression[]): object {
  return { matchExpressions };
}

/** The kubelet runs static pods whatever we say; refusing the mirror would only hide them. */
export const NOT_A_MIRROR = {
  name: "not-a-mirror-pod",
  expression: "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)",
};

/** Injection leaves them alone, so they need not wait for it. */
export const NOT_THE_NODES_NETWORK = {
  name: "not-the-nodes-network",
  expression: "!has(object.spec.hostNetwork) || !object.spec.hostNetwork",
};

/** Finalizers are taken off by updates: what is being deleted must be able to go without us. */
const NOT_LEAVING = { name: "not-being-deleted", expression: "!has(object.metadata.deletionTimestamp)" };

/** Of a pod that runs, images are all that can be changed and concerns us. Labels and finalizers come and go without us. */
const CHANGES_WHAT_RUNS = {
  name: "changes-what-runs",
  expression: [
    "request.operation == 'CREATE' || (has(request.subResource) && request.subResource != '')",
    imagesDiffer("containers"),
    imagesDiffer("initContainers"),
    statusDiffers(),
  ].join(" || "),
};

function imagesDiffer(list: string): string {
  return `${imagesOf("object", list)} != ${imagesOf("oldObject", list)}`;
}

function imagesOf(pod: string, list: string): string {
  return `(has(${pod}.spec.${list}) ? ${pod}.spec.${list}.map(c, c.image) : [])`;
}

/** Our own record of what we have put in. */
function statusDiffers(): string {
  return `${hasStatus("object")} != ${hasStatus("oldObject")}`;
}

function hasStatus(pod: string): string {
  return `(has(${pod}.metadata.annotations) && 'cardea.dev/status' in ${pod}.metadata.annotations)`;
}

const FOR_SIDECARS = {
  name: "for-sidecars",
  expression: "!has(object.spec.gateways) || object.spec.gateways.exists(g, g == 'mesh')",
};

/** Routes of ingress gateways are for whoever runs those. Gateway API, GEP-1294. */
const FOR_SERVICES = {
  name: "for-services",
  expression: "has(object.spec.parentRefs) && object.spec.parentRefs.exists(p, has(p.kind) && p.kind == 'Service')",
};
