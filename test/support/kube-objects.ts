import type { KubeObject } from "../../src/core/kube.ts";

/** Objects as the controllers of a cluster make them, small. */

export interface PodOptions {
  readonly ip?: string;
  readonly ips?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  readonly isMeshed?: boolean;
  readonly phase?: string;
  readonly hostNetwork?: boolean;
  readonly node?: string;
  readonly uid?: string;
}

export function podObject(name: string, options: PodOptions = {}): KubeObject {
  const { ip = "10.0.0.1", labels = { app: "web" }, serviceAccount = "web", isMeshed = true } = options;
  const app = { name: "app", image: "app" };
  return {
    metadata: { name, namespace: "shop", labels, ...(options.uid === undefined ? {} : { uid: options.uid }) },
    spec: {
      serviceAccountName: serviceAccount,
      nodeName: options.node ?? "node-1",
      ...(options.hostNetwork === true ? { hostNetwork: true } : {}),
      containers: [app],
      initContainers: isMeshed ? [{ name: "cardea-proxy", image: "cardea", restartPolicy: "Always" }] : [],
    },
    status: {
      phase: options.phase ?? "Running",
      podIP: ip,
      podIPs: (options.ips ?? [ip]).map((each) => ({ ip: each })),
    },
  };
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  readonly targetPort?: number | string;
  readonly protocol?: string;
  readonly appProtocol?: string;
}

export function serviceObject(name: string, ports: readonly ServicePort[], spec: object = {}): KubeObject {
  return {
    metadata: { name, namespace: "shop" },
    spec: { clusterIP: "10.96.0.10", clusterIPs: ["10.96.0.10"], ports, ...spec },
  };
}

export interface SliceEndpoint {
  readonly pod: string;
  readonly ready?: boolean;
  readonly terminating?: boolean;
}

export function sliceObject(
  service: string,
  endpoints: readonly SliceEndpoint[],
  ports: readonly { readonly name?: string; readonly port: number }[],
): KubeObject {
  return {
    metadata: { name: `${service}-1`, namespace: "shop", labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    endpoints: endpoints.map(({ pod, ready = true, terminating = false }) => ({
      addresses: ["10.0.0.1"],
      conditions: { ready, serving: ready, terminating },
      targetRef: { kind: "Pod", name: pod, namespace: "shop" },
    })),
    ports: ports.map((port) => ({ name: "", protocol: "TCP", ...port })),
  };
}
