import { type JsonValue, memberOf, valueAt } from "../../core/json-value.ts";
import { POD_PORTS } from "../../core/pod-ports.ts";
import { isInRanges, parsePortRanges } from "../../core/port-range.ts";
import { ANNOTATIONS } from "../inject/annotations.ts";
import type { PodTemplate } from "../inject/pod-templates.ts";
import { containersOf, itemsOf, textMapOf } from "./pod-view.ts";

export interface NetworkPolicyOptions {
  /** The control plane's. */
  readonly rootNamespace: string;
  readonly controlPort: number;
}

/** What the policies are good for, and what they leave open; printed above them. */
export const NETWORK_POLICY_NOTE: readonly string[] = [
  "NetworkPolicies that close what a sidecar cannot: they hold for every process of a pod, whatever its user.",
  "In:  TCP to the ports that the sidecar guards, and to its own; no UDP, no SCTP, no port that the pod leaves out.",
  "Out: DNS, the control plane, and TCP to pods of meshed namespaces, where their sidecars ask for an identity. A pod that",
  "     calls anything else needs a rule of its own.",
  "",
  "They do not close:",
  "- anything where the network plugin enforces no NetworkPolicy;",
  "- what comes from the pod's own node (probes, hostPort on many plugins), and what pods of the node's network do;",
  "- plaintext to a guarded port: that is for the sidecar to refuse, which it does;",
  "- what containers of one pod say to each other, and what leaves by DNS.",
];

/**
 * One NetworkPolicy for each pod template that has labels to be selected by; Services tell ports that it does not. Of two
 * templates of one name (overlays of the same object) the first counts.
 */
export function networkPolicies(
  templates: readonly PodTemplate[],
  services: readonly JsonValue[],
  options: NetworkPolicyOptions,
): readonly object[] {
  const byName = new Map(templates.toReversed().map((each) => [`${each.namespace}/${each.name}`, each]));
  return [...byName.values()].toReversed().flatMap((template) => {
    const labels = textMapOf(memberOf(template.pod, "metadata"), "labels");
    // Without labels it would select every pod of the namespace.
    if (Object.keys(labels).length === 0) return [];
    return [networkPolicy(template, labels, portsOf(template, labels, services), options)];
  });
}

// oxlint-disable-next-line eslint/max-params
function networkPolicy(
  { name, namespace }: PodTemplate,
  labels: Readonly<Record<string, string>>,
  ports: readonly number[],
  { rootNamespace, controlPort }: NetworkPolicyOptions,
): object {
  const own = [POD_PORTS.hbone, POD_PORTS.metrics, POD_PORTS.readiness];
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: `${name}-mesh`, namespace },
    spec: {
      podSelector: { matchLabels: labels },
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ ports: [...ports, ...own].map(tcp) }],
      egress: [
        {
          to: [
            {
              namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "kube-system" } },
              podSelector: { matchLabels: { "k8s-app": "kube-dns" } },
            },
          ],
          ports: [{ protocol: "UDP", port: 53 }, tcp(53)],
        },
        {
          to: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": rootNamespace } } }],
          ports: [tcp(controlPort)],
        },
        {
          to: [{ namespaceSelector: { matchLabels: { "cardea.dev/inject": "enabled" } } }],
          ports: [{ protocol: "TCP", port: 1, endPort: 65_535 }],
        },
      ],
    },
  };
}

function tcp(port: number): object {
  return { protocol: "TCP", port };
}

/** TCP ports that containers declare or that Services send to, without those that the pod keeps from its sidecar. */
function portsOf(
  { pod, namespace }: PodTemplate,
  labels: Readonly<Record<string, string>>,
  services: readonly JsonValue[],
): readonly number[] {
  const declared = containersOf(pod).flatMap(({ container }) =>
    itemsOf(container, "ports").flatMap(([port]) => numberOfTcp(port, "containerPort")),
  );
  const targeted = services
    .filter((service) => selects(service, namespace, labels))
    .flatMap((service) => itemsOf(memberOf(service, "spec"), "ports"))
    .flatMap(([port]) => targetOf(port));
  const excluded = excludedPorts(pod);
  const ports = new Set([...declared, ...targeted].filter((port) => !isInRanges(excluded, port)));
  return [...ports].toSorted((a, b) => a - b);
}

function numberOfTcp(port: JsonValue, field: string): readonly number[] {
  const number = memberOf(port, field);
  return (memberOf(port, "protocol") ?? "TCP") === "TCP" && typeof number === "number" ? [number] : [];
}

/** A target by name is declared by a container; one that is left out is the service's own port. */
function targetOf(port: JsonValue): readonly number[] {
  return numberOfTcp(port, memberOf(port, "targetPort") === undefined ? "port" : "targetPort");
}

function selects(service: JsonValue, namespace: string, labels: Readonly<Record<string, string>>): boolean {
  const where = valueAt(service, ["metadata", "namespace"]) ?? namespace;
  const selector = Object.entries(textMapOf(memberOf(service, "spec"), "selector"));
  return where === namespace && selector.length > 0 && selector.every(([name, value]) => labels[name] === value);
}

/** What cannot be read excludes nothing here: injection refuses it. */
function excludedPorts(pod: JsonValue): ReturnType<typeof parsePortRanges> {
  const annotations = textMapOf(memberOf(pod, "metadata"), "annotations");
  const { key, aliases } = ANNOTATIONS.excludeInboundPorts;
  return [key, ...aliases.map((alias) => alias.key)].flatMap((each) => {
    try {
      return parsePortRanges(annotations[each] ?? "");
    } catch {
      return [];
    }
  });
}
