import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { webhookConfigurations } from "../../src/control/admission/webhook-configuration.ts";
import { policyRules } from "../../src/control/kube/permissions.ts";
import type { Address } from "../../src/core/ports.ts";
import type { SpiffeId } from "../../src/core/spiffe-id.ts";
import { type RunningCardea, startCardea } from "./cardea.ts";
import type { AnyObject, KubeCluster } from "./kube-cluster.ts";

/** A replica of the control plane, a process of its own. */
export interface KubeReplica {
  readonly name: string;
  readonly process: RunningCardea;
  readonly address: Address;
  readonly admin: Address;
  readonly telemetry: Address;
  readonly webhooks: Address;
  readonly spiffeId: SpiffeId;
}

export const SYSTEM = "cardea-system";

/** What an installation brings: namespace, account with least rights, and the policy's CRD. */
export async function installControl(cluster: KubeCluster): Promise<void> {
  await cluster.namespace(SYSTEM);
  const rbac = "rbac.authorization.k8s.io/v1";
  const account = { kind: "ServiceAccount", name: "cardea-control", namespace: SYSTEM };
  const group = "rbac.authorization.k8s.io";
  const name = "cardea-control";
  await cluster.apply([
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace: SYSTEM } },
    { apiVersion: rbac, kind: "ClusterRole", metadata: { name }, rules: policyRules("cluster") },
    { apiVersion: rbac, kind: "Role", metadata: { name, namespace: SYSTEM }, rules: policyRules("own-namespace") },
    {
      apiVersion: rbac,
      kind: "ClusterRoleBinding",
      metadata: { name },
      roleRef: { apiGroup: group, kind: "ClusterRole", name },
      subjects: [account],
    },
    {
      apiVersion: rbac,
      kind: "RoleBinding",
      metadata: { name, namespace: SYSTEM },
      roleRef: { apiGroup: group, kind: "Role", name },
      subjects: [account],
    },
    policyCrd(),
  ]);
  await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=60s", `crd/${CRD}`]);
}

const CRD = "authorizationpolicies.security.istio.io";

function policyCrd(): object {
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: CRD },
    spec: {
      group: "security.istio.io",
      scope: "Namespaced",
      names: { plural: "authorizationpolicies", singular: "authorizationpolicy", kind: "AuthorizationPolicy" },
      versions: [{ name: "v1", served: true, storage: true, schema }],
    },
  };
}

export interface ReplicaOptions {
  /** Where it finds the API server. Left out: the cluster's own address. */
  readonly server?: string;
  /** Where certificates and discovery are served; default a free loopback port. */
  readonly listen?: Address;
  /** Left out: a free one. */
  readonly webhooksPort?: number;
  /** A program, with its first words, that runs it in its own place. */
  readonly through?: readonly string[];
}

/** Starts a replica under the account of the installation, on free ports unless told. */
export async function startReplica(
  cluster: KubeCluster,
  name: string,
  options: ReplicaOptions = {},
): Promise<KubeReplica> {
  const running = await launchReplica(cluster, name, options);
  const { value, done } = await running.lines.next();
  if (done === true) throw new Error(`the replica ended: ${(await running.finished).stderr}`);
  return { name, process: running, ...(JSON.parse(value) as Omit<KubeReplica, "name" | "process">) };
}

/** As `startReplica`, without waiting until it is ready. The API server may call its webhooks by `localhost`. */
export async function launchReplica(
  cluster: KubeCluster,
  name: string,
  { server = cluster.server, listen, webhooksPort = 0, through = [] }: ReplicaOptions = {},
): Promise<RunningCardea> {
  const at = { host: "127.0.0.1", port: 0 };
  const webhooks = { ...at, port: webhooksPort };
  const config = join(cluster.directory, `${name}.yaml`);
  const names = { webhookNames: ["localhost"], logLevel: "debug" };
  writeFileSync(config, JSON.stringify({ listen: listen ?? at, admin: at, telemetry: at, webhooks, ...names }));
  const kubeconfig = cluster.kubeconfigOf(await cluster.token(SYSTEM, "cardea-control"), server);
  const words = ["control", "--kubernetes", "--config", config, "--kubeconfig", kubeconfig];
  return startCardea(words, { through, env: { CARDEA_POD_NAME: name, CARDEA_POD_NAMESPACE: SYSTEM } });
}

/** There is no cluster network here: the server calls a port of this machine in the place of the Service. */
export function webhooksAt({ webhooks }: Pick<KubeReplica, "webhooks">): readonly AnyObject[] {
  const configurations = structuredClone(webhookConfigurations()) as readonly AnyObject[];
  for (const each of configurations)
    for (const webhook of each.webhooks)
      webhook.clientConfig = { url: `https://localhost:${webhooks.port}${webhook.clientConfig.service.path}` };
  return configurations;
}

/** Asks until the answer is as wanted: a cluster comes to rest in its own time. */
export async function until<T>(ask: () => Promise<T>, isWanted: (value: T) => boolean, withinMs = 45_000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await ask().catch((error: unknown) => error as T);
    if (!(value instanceof Error) && isWanted(value)) return value;
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms; last: ${describeValue(value)}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
  }
}

function describeValue(value: unknown): string {
  return value instanceof Error ? value.message : JSON.stringify(value);
}
