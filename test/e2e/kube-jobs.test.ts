import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { whyNoContainers } from "../support/container.ts";
import {
  type BarePod,
  type InstalledMesh,
  type MeshedPod,
  openInstalledMesh,
  type Replica,
} from "../support/installed-mesh.ts";
import { type AnyObject, type KubeAnswer, whyNoKube } from "../support/kube-cluster.ts";
import { createPodsOf, publishEndpoints, setPodReady } from "../support/kube-controllers.ts";
import { until } from "../support/kube-control.ts";
import type { LivingPod } from "../support/pod-life.ts";
import { APP_UID } from "../support/pod-network.ts";
import { runProgram } from "../support/programs.ts";

// The first and the last moment of pods: who starts before whom, who ends after whom, and that what is to end, ends. Pods
// come out of the API server by way of the webhook; every container is a process, as a native sidecar and as the plain
// container below Kubernetes 1.29.

const hasNft = process.getuid?.() === 0 && (await runProgram("unshare", ["--net", "nft", "list", "tables"])).code === 0;
const why = whyNoKube ?? whyNoContainers ?? (hasNft ? null : "needs nft");
const WORKER = fileURLToPath(new URL("../support/worker-app.mjs", import.meta.url));

vi.setConfig({ testTimeout: 120_000 });

type Living = BarePod & { readonly life: LivingPod };

describe.skipIf(why !== null)(`pods begin and end${why === null ? "" : ` (${why})`}`, () => {
  let mesh: InstalledMesh;
  let replicas: readonly Replica[];
  let orders: MeshedPod;
  let url: string;
  let count = 0;

  beforeAll(async () => {
    mesh = await openInstalledMesh();
    await install();
    replicas = await mesh.startReplicas();
    const labels = { "cardea.dev/inject": "enabled", "pod-security.kubernetes.io/enforce": "privileged" };
    await mesh.cluster.namespace("shop", labels);
    await until(
      () => mesh.cluster.call("POST", `${SHOP}/pods?dryRun=All`, podOf({ containers: [app()] })),
      ({ status }) => status === 201,
    );
    await mesh.cluster.apply(OBJECTS);
    const [pod] = await createPodsOf(mesh.cluster, await mesh.cluster.must("GET", `${APPS}/deployments/orders`));
    orders = await mesh.startPod(pod, 8_080);
    const service = await mesh.cluster.must("GET", `${SHOP}/services/orders`);
    url = `http://${service.spec.clusterIP as string}`;
    await publishEndpoints(mesh.cluster, service, [orders.object]);
  }, 240_000);
  afterAll(() => mesh?.close(), 60_000);

  async function install(...words: string[]): Promise<void> {
    const { code, stdout, stderr } = await mesh.command("install", ...words);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(await mesh.cluster.kubectl(["apply", "-f", "-"], stdout)).toMatchObject({ code: 0 });
  }

  const create = (pod: object): Promise<KubeAnswer> => mesh.cluster.call("POST", `${SHOP}/pods`, pod);

  async function begin(spec: AnyObject): Promise<Living> {
    const { status, body } = await create(podOf(spec));
    expect([status, body.message]).toEqual([201, undefined]);
    return mesh.beginPod(body);
  }

  /** A pod of a Job, as its controller makes it. */
  async function beginJob(command: readonly string[]): Promise<Living> {
    const name = `job-${(count += 1)}`;
    const template = { spec: { restartPolicy: "Never", containers: [app(command)] } };
    const job = await mesh.cluster.must("POST", "/apis/batch/v1/namespaces/shop/jobs", {
      metadata: { name },
      spec: { backoffLimit: 0, template },
    });
    const { metadata, spec } = job.spec.template;
    const owner = { apiVersion: "batch/v1", kind: "Job", name, uid: job.metadata.uid, controller: true };
    const made = await create({
      metadata: { generateName: `${name}-`, labels: metadata.labels, ownerReferences: [owner] },
      spec,
    });
    expect([made.status, made.body.message]).toEqual([201, undefined]);
    return mesh.beginPod(made.body);
  }

  const curl = (path: string): readonly string[] => [
    "/usr/bin/curl",
    "-sS",
    "-w",
    "%{http_code}\\n",
    "-o",
    "/dev/null",
    `${url}${path}`,
  ];

  test("a Job's app makes its one call and ends; the sidecar ends by itself, and the pod has succeeded", async () => {
    const job = await beginJob(curl("/report"));
    expect(await job.life.phase()).toBe("Succeeded");
    expect(said(job)).toEqual(["200"]);
    expect(exitCodes(job)).toEqual({ "cardea-proxy": 0, app: 0 });
  });

  test("a Job's app that fails is a pod that has failed, not one that goes on", async () => {
    const job = await beginJob(["/bin/sh", "-c", "exit 3"]);
    expect(await job.life.phase()).toBe("Failed");
    expect(exitCodes(job)).toEqual({ "cardea-proxy": 0, app: 3 });
  });

  describe.each([["native"], ["container"]])("a sidecar as %s", (kind) => {
    beforeAll(async () => {
      await install("--set", `injection.sidecar=${kind}`);
      await until(
        () => mesh.cluster.call("POST", `${SHOP}/pods?dryRun=All`, podOf({ containers: [app()] })),
        ({ body }) => (kind === "container") === body.spec?.containers.some(isProxy),
      );
    });

    test("the app waits until its sidecar has a certificate and policies, and its very first call goes", async () => {
      const { status, body } = await create(podOf({ containers: [app(worker())] }));
      expect(status).toBe(201);
      for (const each of replicas) await mesh.killReplica(each);
      const living = await mesh.beginPod(body);
      await until(
        async () => living.life.containers.get("cardea-proxy")?.log() ?? "",
        (log) => log.includes("svid-request-failed"),
      );
      expect([...living.life.containers.keys()]).toEqual(["cardea-proxy"]);
      replicas = await mesh.startReplicas();
      await living.life.started;
      await until(
        async () => said(living),
        (lines) => lines.includes("serving"),
      );
      expect(said(living)[0]).toBe("first 200");
      await living.life.close();
    });

    test("at its end the app can still call and answer; its sidecar goes after it, in time and in good order", async () => {
      const living = await begin({ containers: [app(worker())], serviceAccountName: "worker" });
      await living.life.started;
      await until(
        async () => said(living),
        (lines) => lines.includes("serving"),
      );
      await publish(living);
      const asking = orders.network.run(APP_UID, "curl", "-sS", "-w", " %{http_code}", `${await workerUrl()}/held`);
      await until(
        async () => said(living),
        (lines) => lines.includes("asked /held"),
      );
      const ended = await living.life.terminate();
      expect(said(living).at(-1)).toBe("last 200");
      expect((await asking).stdout).toBe("at the end\n 200");
      expect([...ended]).toEqual([
        ["app", { code: 0, wasKilled: false }],
        ["cardea-proxy", { code: 0, wasKilled: false }],
      ]);
    });
  });

  test("below 1.29 a pod that is to complete is refused, since it never would", async () => {
    const refused = await create(podOf({ restartPolicy: "Never", containers: [app()] }));
    expect([refused.status, refused.body.message]).toEqual([
      expect.any(Number),
      expect.stringMatching(/restartPolicy/),
    ]);
    expect(refused.status).toBeGreaterThanOrEqual(400);
  });

  const worker = (): readonly string[] => [process.execPath, WORKER, url];

  async function workerUrl(): Promise<string> {
    return `http://${(await mesh.cluster.must("GET", `${SHOP}/services/worker`)).spec.clusterIP as string}`;
  }

  /** Until the caller's sidecar knows where the worker is. */
  async function publish({ object }: Living): Promise<void> {
    await setPodReady(mesh.cluster, object);
    await publishEndpoints(mesh.cluster, await mesh.cluster.must("GET", `${SHOP}/services/worker`), [object]);
    const to = await workerUrl();
    await until(
      () => orders.network.run(APP_UID, "curl", "-s", "-m", "3", to),
      ({ stdout }) => stdout === "here\n",
    );
  }
});

/** Lines of the app's stdout. */
function said({ life }: Living): readonly string[] {
  return life.containers.get("app")?.lines() ?? [];
}

function exitCodes({ life }: Living): Readonly<Record<string, number | null>> {
  return Object.fromEntries([...life.containers].map(([name, { container }]) => [name, container.exitCode]));
}

const SHOP = "/api/v1/namespaces/shop";
const APPS = "/apis/apps/v1/namespaces/shop";

function app(command: readonly string[] = ["true"]): AnyObject {
  return { name: "app", image: "app:1", command, ports: [{ containerPort: 8_080 }] };
}

function podOf(spec: AnyObject): object {
  return {
    metadata: { generateName: "pod-", labels: { app: "worker" } },
    spec: { automountServiceAccountToken: false, ...spec },
  };
}

function isProxy({ name }: AnyObject): boolean {
  return name === "cardea-proxy";
}

const service = (name: string): object => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "shop", labels: { app: name } },
  spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8_080 }] },
});

const account = (name: string): object => ({
  apiVersion: "v1",
  kind: "ServiceAccount",
  metadata: { name, namespace: "shop" },
});

const OBJECTS: readonly object[] = [
  service("orders"),
  service("worker"),
  account("orders"),
  account("worker"),
  {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "orders", namespace: "shop" },
    spec: {
      selector: { matchLabels: { app: "orders" } },
      template: {
        metadata: { labels: { app: "orders" } },
        spec: { serviceAccountName: "orders", automountServiceAccountToken: false, containers: [app()] },
      },
    },
  },
  {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "all-of-shop", namespace: "shop" },
    spec: { action: "ALLOW", rules: [{ from: [{ source: { namespaces: ["shop"] } }] }] },
  },
];
