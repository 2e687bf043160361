import { createHash } from "node:crypto";
import type { AnyObject, KubeCluster } from "./kube-cluster.ts";

// What the controllers of a cluster do with Deployments and Services, where none run: the test calls it.

const APPS = "/apis/apps/v1";

/** Pods of every Deployment of a namespace, each made from its template under a ReplicaSet, as the controllers make them. */
export async function createPods(cluster: KubeCluster, namespace: string): Promise<readonly AnyObject[]> {
  const { items } = await cluster.must("GET", `${APPS}/namespaces/${namespace}/deployments`);
  const pods = await Promise.all((items as AnyObject[]).map((each) => createPodsOf(cluster, each)));
  return pods.flat();
}

/** Pods of one Deployment: the answers of the API server. */
export async function createPodsOf(cluster: KubeCluster, deployment: AnyObject): Promise<readonly AnyObject[]> {
  const { namespace } = deployment.metadata;
  const set = await replicaSetFor(cluster, deployment);
  const made: AnyObject[] = [];
  for (let count = 0; count < deployment.spec.replicas; count += 1)
    made.push(await cluster.must("POST", `/api/v1/namespaces/${namespace}/pods?fieldValidation=Strict`, podOf(set)));
  return made;
}

/** That of this template, which may be there already: Deployments are scaled, and pods refused. */
async function replicaSetFor(cluster: KubeCluster, deployment: AnyObject): Promise<AnyObject> {
  const at = `${APPS}/namespaces/${deployment.metadata.namespace}/replicasets`;
  const wanted = replicaSetOf(deployment);
  const { status, body } = await cluster.call("POST", at, wanted);
  if (status === 201) return body;
  if (status === 409) return cluster.must("GET", `${at}/${wanted.metadata.name}`);
  throw new Error(`${wanted.metadata.name}: ${status} ${JSON.stringify(body)}`);
}

/** For what the API server does not take: one try. */
export function podOfDeployment(deployment: AnyObject): AnyObject {
  return podOf({ ...replicaSetOf(deployment), metadata: { name: `${deployment.metadata.name as string}-1` } });
}

/** The scheduler's part, and the kubelet's first: a node, and addresses. Returns the pod. */
export async function bindPod(
  cluster: KubeCluster,
  { metadata: { namespace, name } }: AnyObject,
  ips: readonly string[],
): Promise<AnyObject> {
  const at = `/api/v1/namespaces/${namespace}/pods/${name}`;
  await cluster.must("POST", `${at}/binding`, { metadata: { name }, target: { kind: "Node", name: "node-1" } });
  return setPodStatus(
    cluster,
    { metadata: { namespace, name } },
    {
      phase: "Pending",
      podIP: ips[0],
      podIPs: ips.map((ip) => ({ ip })),
    },
  );
}

/** The kubelet's next part, once containers are ready. */
export function setPodReady(cluster: KubeCluster, pod: AnyObject): Promise<AnyObject> {
  const { containers, initContainers = [] } = pod.spec as { containers: AnyObject[]; initContainers?: AnyObject[] };
  return setPodStatus(cluster, pod, {
    phase: "Running",
    conditions: [{ type: "Ready", status: "True" }],
    initContainerStatuses: initContainers.map(readyStatus),
    containerStatuses: containers.map(readyStatus),
  });
}

/** Of a container that runs, or of an init container that has ended well. */
function readyStatus({ name, image }: AnyObject): object {
  return { name, image, imageID: image, ready: true, started: true, restartCount: 0, state: {} };
}

/** What the Deployment's controller says of it, once that many pods of its template are ready. */
export async function setReadyReplicas(cluster: KubeCluster, { metadata }: AnyObject, ready: number): Promise<void> {
  const counts = { replicas: ready, updatedReplicas: ready, readyReplicas: ready, availableReplicas: ready };
  const status = { observedGeneration: metadata.generation, ...counts };
  const at = `${APPS}/namespaces/${metadata.namespace}/deployments/${metadata.name}/status`;
  await cluster.must("PATCH", at, { status }, MERGE);
}

/** Makes a Service's endpoints anew of the pods that are behind it: one slice for each family of addresses. */
export async function publishEndpoints(
  cluster: KubeCluster,
  service: AnyObject,
  pods: readonly AnyObject[],
): Promise<void> {
  const slices = (service.spec.ipFamilies as string[]).map((family) => sliceOf(service, pods, family));
  await cluster.apply(slices);
}

const MERGE = { contentType: "application/merge-patch+json" };
const OF = "kubernetes.io/service-name";
const HASH = "pod-template-hash";

function setPodStatus(cluster: KubeCluster, { metadata }: AnyObject, status: object): Promise<AnyObject> {
  const at = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/status`;
  return cluster.must("PATCH", at, { status }, MERGE);
}

function replicaSetOf({ metadata: { name, uid }, spec: { selector, template, replicas } }: AnyObject): AnyObject {
  const hash = createHash("sha256").update(JSON.stringify(template)).digest("hex").slice(0, 10);
  const labels = { ...template.metadata.labels, [HASH]: hash };
  return {
    metadata: { name: `${name}-${hash}`, labels, ownerReferences: [owner("Deployment", name, uid)] },
    spec: {
      replicas,
      selector: { matchLabels: { ...selector.matchLabels, [HASH]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

function podOf({ metadata: { name, uid }, spec: { template } }: AnyObject): AnyObject {
  const { labels, annotations } = template.metadata;
  const ownerReferences = uid === undefined ? [] : [owner("ReplicaSet", name, uid)];
  return { metadata: { generateName: `${name}-`, labels, annotations, ownerReferences }, spec: template.spec };
}

function owner(kind: string, name: string, uid: string): object {
  return { apiVersion: "apps/v1", kind, name, uid, controller: true, blockOwnerDeletion: true };
}

function sliceOf({ metadata, spec }: AnyObject, pods: readonly AnyObject[], family: string): AnyObject {
  const isOfFamily = (ip: string): boolean => (family === "IPv6") === ip.includes(":");
  const conditions = { ready: true, serving: true, terminating: false };
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${metadata.name}-${family.toLowerCase()}`,
      namespace: metadata.namespace,
      labels: { [OF]: metadata.name },
    },
    addressType: family,
    endpoints: pods.map((pod) => ({
      addresses: (pod.status.podIPs as { ip: string }[]).map(({ ip }) => ip).filter(isOfFamily),
      conditions,
      nodeName: "node-1",
      targetRef: { kind: "Pod", namespace: metadata.namespace, name: pod.metadata.name, uid: pod.metadata.uid },
    })),
    ports: (spec.ports as AnyObject[]).map(({ name, port, targetPort, protocol }) => ({
      name: name ?? "",
      port: typeof targetPort === "number" ? targetPort : port,
      protocol,
    })),
  };
}
