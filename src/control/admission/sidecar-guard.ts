import { CONTAINERS, FOREIGN_SIDECARS, INJECT_LABEL, REVISION_LABEL } from "../inject/names.ts";
import { FOREIGN_WORDS, ISTIO_REVISION, OUR_WORD, type Word } from "../inject/opt-in.ts";
import {
  DEFAULT_WEBHOOK_OPTIONS,
  NAMESPACE_NAME,
  NOT_A_MIRROR,
  NOT_THE_NODES_NETWORK,
} from "./webhook-configuration.ts";

export interface GuardOptions {
  readonly name: string;
  /** Namespaces that never get sidecars; the control plane's own is one. */
  readonly excludedNamespaces: readonly string[];
}

/** Of the guard and its binding. */
export const GUARD_NAME = "cardea-sidecar-required";

/**
 * A rule that the API server keeps by itself, without asking anybody (ValidatingAdmissionPolicy, Kubernetes 1.30): a pod
 * that is to be injected, and was not, is refused. Nothing of ours needs to run for it, nor to be there: it holds when
 * somebody has deleted the webhook configurations, and where a namespace names a revision that is not installed.
 *
 * It says of each pod what injection says (`webhook-configuration.ts` whom it is asked about, `decideOptIn` and `injectPod`
 * what it then does); a test before a real API server holds the two together. It is not made to see through a container
 * that is called like ours: that is the validating webhook's part.
 */
export function sidecarGuard({ name, excludedNamespaces }: GuardOptions): readonly object[] {
  const apiVersion = "admissionregistration.k8s.io/v1";
  const rule = {
    apiGroups: [""],
    apiVersions: ["v1"],
    resources: ["pods"],
    operations: ["CREATE"],
    scope: "Namespaced",
  };
  const never = { key: NAMESPACE_NAME, operator: "NotIn", values: excludedNamespaces };
  return [
    {
      apiVersion,
      kind: "ValidatingAdmissionPolicy",
      metadata: { name },
      spec: {
        failurePolicy: "Fail",
        matchConstraints: {
          matchPolicy: "Equivalent",
          namespaceSelector: { matchExpressions: [never] },
          objectSelector: {},
          resourceRules: [rule],
        },
        matchConditions: [NOT_A_MIRROR, NOT_THE_NODES_NETWORK],
        variables: VARIABLES,
        validations: [{ expression: EXPRESSION, message: MESSAGE, reason: "Forbidden" }],
      },
    },
    {
      apiVersion,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name },
      spec: { policyName: name, validationActions: ["Deny"] },
    },
  ];
}

/** Those of an installation without values of its own. */
export const DEFAULT_GUARD: GuardOptions = {
  name: GUARD_NAME,
  excludedNamespaces: [...DEFAULT_WEBHOOK_OPTIONS.excludedNamespaces, DEFAULT_WEBHOOK_OPTIONS.rootNamespace],
};

const MESSAGE =
  "the pod is to have a sidecar of Cardea, and nobody has added one: its webhook configuration is missing, or the revision " +
  `that is named is not installed (see cardea doctor). To leave the pod out of the mesh, label it ${INJECT_LABEL}: disabled`;

/** CEL, https://kubernetes.io/docs/reference/using-api/cel/. */
const VARIABLES = [
  ["podLabels", fieldOr("object.metadata.labels")],
  ["podAnnotations", fieldOr("object.metadata.annotations")],
  ["namespaceLabels", fieldOr("namespaceObject.metadata.labels")],
  ["namespaceAnnotations", fieldOr("namespaceObject.metadata.annotations")],
  ["podLabel", labelOf("pod")],
  ["namespaceLabel", labelOf("namespace")],
  // A label counts before an annotation of the same name.
  ["podWord", annotationBehind("pod")],
  ["namespaceWord", annotationBehind("namespace")],
  // Whom the injector is asked about, of one revision or another.
  [
    "isNamespaceMeshed",
    `${says("namespaceLabel", OUR_WORD.yes)} || (${hasRevision("namespace")} && !${says("namespaceLabel", OUR_WORD.no)})`,
  ],
  [
    "isPodAlone",
    `!${says("namespaceLabel", OUR_WORD.yes)} && !(${hasRevision("namespace")}) && (${says("podLabel", OUR_WORD.yes)} || ${hasRevision("pod")})`,
  ],
  ["isAsked", `!${says("podLabel", OUR_WORD.no)} && (variables.isNamespaceMeshed || variables.isPodAlone)`],
  // What it then decides: the pod's own word, else its namespace's; ours before Istio's and Linkerd's.
  ["podSays", `${says("podWord", OUR_WORD.no)} ? 'no' : variables.podWord != '' || ${hasRevision("pod")} ? 'yes' : ''`],
  ["foreignWords", foreignWords()],
  ["foreignSays", foreignSays()],
  ["namespaceSays", `${says("namespaceWord", OUR_WORD.no)} ? 'no' : 'yes'`],
  [
    "says",
    "variables.podSays != '' ? variables.podSays : variables.foreignSays != '' ? variables.foreignSays : variables.namespaceSays",
  ],
  [
    "containers",
    "object.spec.containers.map(c, c.name) + (has(object.spec.initContainers) ? object.spec.initContainers.map(c, c.name) : [])",
  ],
  [
    "isAnothers",
    `variables.podSays == '' && variables.foreignSays == 'yes' && ${listed([...FOREIGN_SIDECARS.keys()])}.exists(name, name in variables.containers)`,
  ],
].map(([name, expression]) => ({ name, expression }));

const EXPRESSION = `!variables.isAsked || variables.says != 'yes' || variables.isAnothers || '${CONTAINERS.proxy}' in variables.containers`;

type Whose = "pod" | "namespace";

function fieldOr(path: string): string {
  return `has(${path}) ? ${path} : {}`;
}

function labelOf(whose: Whose): string {
  return `'${OUR_WORD.key}' in variables.${whose}Labels ? variables.${whose}Labels['${OUR_WORD.key}'] : ''`;
}

function annotationBehind(whose: Whose): string {
  const { key } = OUR_WORD;
  const annotations = `variables.${whose}Annotations`;
  return `'${key}' in variables.${whose}Labels ? variables.${whose}Label : '${key}' in ${annotations} ? ${annotations}['${key}'] : ''`;
}

/** Of the pod, each as `key=word`. */
function foreignWords(): string {
  const [labels, annotations] = ["variables.podLabels", "variables.podAnnotations"];
  const keys = listed(FOREIGN_WORDS.map(({ key }) => key));
  return `${keys}.map(key, key + '=' + (key in ${labels} ? ${labels}[key] : key in ${annotations} ? ${annotations}[key] : ''))`;
}

/** Two that contradict each other are refused by injection: a sidecar is asked for. */
function foreignSays(): string {
  const revision = `'${ISTIO_REVISION}' in variables.podLabels`;
  return `${someForeign(({ yes }) => yes)} ? 'yes' : ${someForeign(({ no }) => no)} ? 'no' : ${revision} ? 'yes' : ''`;
}

function someForeign(wordsOf: (word: Word) => readonly string[]): string {
  const pairs = FOREIGN_WORDS.flatMap((each) => wordsOf(each).map((word) => `${each.key}=${word}`));
  return `variables.foreignWords.exists(word, word in ${listed(pairs)})`;
}

function hasRevision(whose: Whose): string {
  return `'${REVISION_LABEL}' in variables.${whose}Labels`;
}

function says(variable: string, words: readonly string[]): string {
  return `(variables.${variable} in ${listed(words)})`;
}

function listed(words: readonly string[]): string {
  return `[${words.map((word) => `'${word}'`).join(", ")}]`;
}
