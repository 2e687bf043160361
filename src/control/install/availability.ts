import { CONTROL, CONTROL_PORTS, LABELS, SELECTOR } from "./names.ts";
import { isSet, namespace, type Template, when } from "./template.ts";

/** Below `system-cluster-critical`, above everything that does not say more. */
const PRIORITY = 1_000_000_000;

/** What keeps a control plane of several replicas there, each on its own switch. */
export function availability(): readonly Template[] {
  return [
    when(isSet("control.priorityClass"), {
      apiVersion: "scheduling.k8s.io/v1",
      kind: "PriorityClass",
      metadata: { name: CONTROL, labels: LABELS },
      description: "Cardea's control plane: without it no pod of the mesh starts",
      value: PRIORITY,
      globalDefault: false,
    }),
    when(isSet("control.disruptionBudget"), {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: { name: CONTROL, namespace, labels: LABELS },
      // Never all but one: with a single replica nodes can still be drained.
      spec: { maxUnavailable: 1, selector: { matchLabels: SELECTOR } },
    }),
    when(isSet("control.networkPolicy"), {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: CONTROL, namespace, labels: LABELS },
      spec: {
        podSelector: { matchLabels: SELECTOR },
        policyTypes: ["Ingress", "Egress"],
        // From anywhere: API servers and kubelets have no labels to be told by.
        ingress: [{ ports: Object.values(CONTROL_PORTS).map(tcp) }],
        // API servers have addresses that only their operator knows.
        egress: [{ ports: [{ protocol: "UDP", port: 53 }, tcp(53), tcp(443), tcp(6443)] }],
      },
    }),
  ];
}

function tcp(port: number): Template {
  return { protocol: "TCP", port };
}
