import { type SpiffeId, trustDomainOf, workloadNameOf } from "../core/spiffe-id.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Question, RequestFacts } from "./facts.ts";
import { withAliases } from "./identity-matcher.ts";
import type { MeshSettings } from "./mesh-settings.ts";

/** Labels that a rollout changes: a grant that named them would hold until the next one. */
const PASSING_LABELS = new Set([
  "pod-template-hash",
  "pod-template-generation",
  "controller-revision-hash",
  "statefulset.kubernetes.io/pod-name",
  "apps.kubernetes.io/pod-index",
]);

const NAME_LENGTH_MAX = 63;

/** The labels that a policy should select by. */
export function lastingLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !PASSING_LABELS.has(name)));
}

/**
 * The smallest AuthorizationPolicy, as YAML, that would allow exactly this: one identity, one port and, on HTTP,
 * one method and path. Null for a caller without identity, whom nothing could tell from any other.
 */
export function writeGrant(question: Question, documents: readonly AuthorizationPolicy[]): string | null {
  const { workload, peer, request, settings } = question;
  if (peer.principal === null) return null;
  const labels = Object.entries(lastingLabels(workload.labels));
  const lines = [
    "apiVersion: security.istio.io/v1",
    "kind: AuthorizationPolicy",
    "metadata:",
    `  name: ${freeName(nameFor(question, peer.principal), workload.namespace, documents)}`,
    `  namespace: ${workload.namespace}`,
    "spec:",
    ...(labels.length === 0 ? [] : ["  selector:", "    matchLabels:"]),
    ...labels.map(([name, value]) => `      ${word(name)}: ${JSON.stringify(value)}`),
    "  action: ALLOW",
    "  rules:",
    "    - from:",
    "        - source:",
    ...sourceLines(peer.principal, settings),
    "      to:",
    "        - operation:",
    ...(request === null ? [] : operationLines(request)),
    `            ports: ["${peer.destinationPort}"]`,
  ];
  return `${lines.join("\n")}\n`;
}

function sourceLines(id: SpiffeId, settings: MeshSettings): readonly string[] {
  const principal = id.slice("spiffe://".length);
  if (withAliases(principal, settings).includes(principal))
    return [`            principals: [${JSON.stringify(principal)}]`];
  // In a policy `cluster.local` means our own domain; a foreign one of that name must be said in another way.
  return [
    `            principals: [${JSON.stringify(`*${principal}`)}]`,
    `            trustDomains: [${JSON.stringify(trustDomainOf(id))}]`,
  ];
}

function operationLines(request: RequestFacts): readonly string[] {
  return [
    `            methods: [${JSON.stringify(patternFor(request.method))}]`,
    `            paths: [${JSON.stringify(patternFor(request.path))}]`,
  ];
}

/** The text itself, or, where a star or brace in it would be read as a pattern, what comes before it. */
function patternFor(text: string): string {
  const isPlain = !/[{}]/.test(text) && !text.startsWith("*") && !text.endsWith("*");
  return isPlain ? text : `${text.slice(0, Math.max(0, text.search(/[{}*]/)))}*`;
}

function nameFor({ workload }: Question, principal: SpiffeId): string {
  const caller = workloadNameOf(principal)?.serviceAccount ?? trustDomainOf(principal);
  const callee = workload.labels["app"] ?? workload.labels["app.kubernetes.io/name"] ?? workload.namespace;
  const name = `allow-${caller}-to-${callee}`.toLowerCase().replace(/[^a-z0-9-]+/g, "-");
  return name.slice(0, NAME_LENGTH_MAX).replace(/-+$/, "");
}

/** Two policies with one name would be a fault. */
function freeName(name: string, namespace: string, documents: readonly AuthorizationPolicy[]): string {
  const taken = new Set(documents.filter((each) => each.namespace === namespace).map((each) => each.name));
  let free = name;
  for (let i = 2; taken.has(free); i++) free = `${name}-${i}`;
  return free;
}

function word(text: string): string {
  return /^[A-Za-z][\w./-]*$/.test(text) ? text : JSON.stringify(text);
}
