import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { ControlStatus } from "../../src/control/admin.ts";
import { webhookConfigurations } from "../../src/control/admission/webhook-configuration.ts";
import { parseCertificate } from "../../src/pki/certificate.ts";
import { parsePem } from "../../src/pki/pem.ts";
import { admissionReview } from "../support/admission-review.ts";
import { type AnyObject, type KubeCluster, openKubeCluster, whyNoKube } from "../support/kube-cluster.ts";
import { installControl, type KubeReplica, startReplica, SYSTEM, until } from "../support/kube-control.ts";
import { certify, joinKube, type KubeControlTarget } from "../support/kube-sidecar.ts";
import { isPresent, valueWhen } from "../unit/control/control-fixture.ts";
import type { TestSidecar } from "../unit/control/join-sidecar.ts";

vi.setConfig({ testTimeout: 90_000 });

describe.skipIf(whyNoKube !== null)(`the control plane on Kubernetes (skipped where ${whyNoKube ?? "absent"})`, () => {
  let cluster: KubeCluster;
  const replicas: KubeReplica[] = [];
  const sidecars: TestSidecar[] = [];
  let rootPem: string;

  beforeAll(async () => {
    cluster = await openKubeCluster();
    await installControl(cluster);
    await cluster.namespace("shop", { "cardea.dev/inject": "enabled" });
    for (const name of ["web", "orders"])
      await cluster.must("POST", "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name } });
    // At once: both find no authority, and one makes it.
    replicas.push(...(await Promise.all([startReplica(cluster, "control-a"), startReplica(cluster, "control-b")])));
    rootPem = await until(rootOf("shop"), (pem) => pem.includes("BEGIN CERTIFICATE"));
  }, 180_000);
  afterAll(async () => {
    for (const sidecar of sidecars) sidecar.close();
    for (const { process } of replicas) {
      process.child.kill("SIGKILL");
      await process.finished;
    }
    await cluster?.close();
  }, 60_000);

  const rootOf = (namespace: string) => async (): Promise<string> => {
    const map = await cluster.must("GET", `/api/v1/namespaces/${namespace}/configmaps/cardea-root-cert`);
    return map.data["root-cert.pem"] as string;
  };

  function target(replica: KubeReplica = replicas[0]!): KubeControlTarget {
    return { address: replica.address, spiffeId: replica.spiffeId, rootPem };
  }

  async function pod(name: string, serviceAccount: string, isMeshed = true) {
    const sidecar = { name: "cardea-proxy", image: "cardea", restartPolicy: "Always" };
    const spec = {
      serviceAccountName: serviceAccount,
      automountServiceAccountToken: false,
      nodeName: "node-1",
      containers: [{ name: "app", image: "app" }],
      ...(isMeshed ? { initContainers: [sidecar] } : {}),
    };
    const metadata = { name, labels: { app: serviceAccount } };
    const made = await cluster.must("POST", "/api/v1/namespaces/shop/pods", { metadata, spec });
    const body = { status: { phase: "Running", podIP: "10.1.0.7", podIPs: [{ ip: "10.1.0.7" }] } };
    const contentType = "application/merge-patch+json";
    await cluster.must("PATCH", `/api/v1/namespaces/shop/pods/${name}/status`, body, { contentType });
    return { name, uid: made.metadata.uid as string };
  }

  const audiences = ["cardea"];

  test("replicas that start at once have one authority, whose key no log names", async () => {
    const secret = await cluster.must("GET", `/api/v1/namespaces/${SYSTEM}/secrets/cardea-ca`);
    const kept = Buffer.from(secret.data["root.pem"], "base64").toString("utf8");
    expect(kept).toBe(rootPem);
    const made = await pod("one-authority", "web");
    const token = await cluster.token("shop", "web", { audiences, pod: made });
    const roots = await Promise.all(replicas.map(async (each) => (await certify(target(each), token)).at(-1)));
    expect(roots).toEqual([rootPem, rootPem]);
  });

  test("a bound token becomes the certificate of its own service account, whatever the request names", async () => {
    const made = await pod("web-1", "web");
    const token = await cluster.token("shop", "web", { audiences, pod: made });
    const chain = await certify(target(), token);
    const leaf = parseCertificate(parsePem(chain[0]!)[0]!.der);
    expect(leaf.uris).toEqual(["spiffe://cluster.local/ns/shop/sa/web"]);
  });

  describe("no certificate for a token", () => {
    test("of another audience", async () => {
      const made = await pod("audience", "web");
      const token = await cluster.token("shop", "web", { audiences: ["vault"], pod: made });
      await expect(certify(target(), token)).rejects.toMatchObject({ code: "attestation-failed" });
      const forApi = await cluster.token("shop", "web", { pod: made });
      await expect(certify(target(), forApi)).rejects.toMatchObject({ code: "attestation-failed" });
    });

    test("that is bound to no pod", async () => {
      const token = await cluster.token("shop", "web", { audiences });
      await expect(certify(target(), token)).rejects.toThrow("bound to no pod");
    });

    test("whose pod is gone, and one of its name has come after it", async () => {
      const made = await pod("replaced", "web");
      const token = await cluster.token("shop", "web", { audiences, pod: made });
      await certify(target(), token);
      await cluster.must("DELETE", "/api/v1/namespaces/shop/pods/replaced?gracePeriodSeconds=0");
      await expect(certify(target(), token)).rejects.toMatchObject({ code: "attestation-failed" });
      await pod("replaced", "web");
      await expect(certify(target(), token)).rejects.toMatchObject({ code: "attestation-failed" });
    });

    test("whose pod has run to its end", async () => {
      const made = await pod("over", "web");
      const token = await cluster.token("shop", "web", { audiences, pod: made });
      const contentType = "application/merge-patch+json";
      const body = { status: { phase: "Succeeded" } };
      await cluster.must("PATCH", "/api/v1/namespaces/shop/pods/over/status", body, { contentType });
      await expect(certify(target(), token)).rejects.toThrow("has run to its end");
    });

    test("that has expired, or is of another service account than its pod's, though the cluster has signed it", async () => {
      const made = await pod("signed", "web");
      const token = await cluster.token("shop", "web", { audiences, pod: made });
      await certify(
        target(),
        cluster.resign(token, (claims) => claims),
      );
      const old = cluster.resign(token, (claims) => ({ ...claims, exp: Math.floor(Date.now() / 1_000) - 60 }));
      await expect(certify(target(), old)).rejects.toMatchObject({ code: "attestation-failed" });
      const { uid } = (await cluster.must("GET", "/api/v1/namespaces/shop/serviceaccounts/orders")).metadata;
      const crossed = cluster.resign(token, (claims) => ({
        ...claims,
        sub: "system:serviceaccount:shop:orders",
        "kubernetes.io": { ...claims["kubernetes.io"], serviceaccount: { name: "orders", uid } },
      }));
      await expect(certify(target(), crossed)).rejects.toThrow("runs as web, the token is of orders");
    });

    test("that was tampered with, or is none", async () => {
      const made = await pod("tampered", "web");
      const token = await cluster.token("shop", "web", { audiences, pod: made });
      const [head, body, signature] = token.split(".") as [string, string, string];
      const claims = JSON.parse(Buffer.from(body, "base64url").toString("utf8")) as Record<string, unknown>;
      const others = JSON.stringify({ ...claims, sub: "system:serviceaccount:shop:orders" });
      const forged = `${head}.${Buffer.from(others).toString("base64url")}.${signature}`;
      await expect(certify(target(), forged)).rejects.toMatchObject({ code: "attestation-failed" });
      await expect(certify(target(), "nonsense")).rejects.toMatchObject({ code: "attestation-failed" });
    });
  });

  test("a policy applied by kubectl reaches a connected sidecar; a bad one changes nothing and is reported", async () => {
    const made = await pod("orders-1", "orders");
    const sidecar = joinKube(target(), "orders", () => cluster.token("shop", "orders", { audiences, pod: made }));
    sidecars.push(sidecar);
    await valueWhen(sidecar.discovery.policies, isPresent);
    await cluster.apply(policy("allow-web", { action: "ALLOW", rules: [{}] }));
    const allowed = await valueWhen(
      sidecar.discovery.policies,
      (set): set is NonNullable<typeof set> => set !== null && set.compiled.allow.rules.length === 1,
    );
    await cluster.apply(policy("broken", { action: "SOMETIMES" }));
    const reported = await until(
      () => status(replicas[0]!),
      ({ policies }) => policies.faults.length > 0,
    );
    expect(reported.policies.faults[0]).toMatchObject({ file: "shop/AuthorizationPolicy/broken" });
    expect(sidecar.discovery.policies.get()).toBe(allowed);
    const { items } = await until(
      () => cluster.must("GET", "/apis/events.k8s.io/v1/namespaces/shop/events"),
      (events) => events.items.length > 0,
    );
    expect(items).toMatchObject([
      { reason: "PolicyRefused", regarding: { kind: "AuthorizationPolicy", name: "broken" } },
    ]);
    await cluster.kubectl(["delete", "authorizationpolicy", "-n", "shop", "broken", "allow-web"]);
    await valueWhen(
      sidecar.discovery.policies,
      (set): set is NonNullable<typeof set> => set !== null && set.compiled.allow.rules.length === 0,
    );
  });

  test("pods without a sidecar in a namespace of the mesh are told", async () => {
    await pod("meshless", "web", false);
    const { cluster: told } = await until(
      () => status(replicas[0]!),
      (now) => now.cluster?.meshless.length === 1,
    );
    expect(told!.meshless).toEqual([{ pod: "shop/meshless", reason: "no-sidecar" }]);
    const metrics = await (await fetch(`http://127.0.0.1:${replicas[0]!.telemetry.port}/metrics`)).text();
    expect(metrics).toContain('cardea_meshless_pods{reason="no-sidecar"} 1');
    expect((await fetch(`http://127.0.0.1:${replicas[0]!.telemetry.port}/status`)).status).toBe(404);
  });

  test("roots that others change or remove are put back, and are in the ClusterTrustBundle", async () => {
    const contentType = "application/merge-patch+json";
    const path = "/api/v1/namespaces/shop/configmaps/cardea-root-cert";
    await cluster.must("PATCH", path, { data: { "root-cert.pem": "mine" } }, { contentType });
    await until(rootOf("shop"), (pem) => pem === rootPem);
    await cluster.must("DELETE", path);
    await until(rootOf("shop"), (pem) => pem === rootPem);
    const bundle = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles/cardea-root-cert";
    expect((await cluster.must("GET", bundle)).spec.trustBundle).toContain(rootPem.trim());
  });

  test("the API server is away and comes back: certificates by certificate go on, watches resume", async () => {
    const made = await pod("orders-2", "orders");
    const sidecar = joinKube(target(), "orders", () => cluster.token("shop", "orders", { audiences, pod: made }));
    sidecars.push(sidecar);
    const before = await valueWhen(sidecar.holder.identity, isPresent);
    await valueWhen(sidecar.discovery.policies, isPresent);
    await cluster.stopServer();
    sidecar.holder.renew();
    await valueWhen(sidecar.holder.identity, (now): now is NonNullable<typeof now> => now !== null && now !== before);
    await cluster.startServer();
    await cluster.apply(policy("after-restart", { action: "ALLOW", rules: [{}] }));
    await valueWhen(
      sidecar.discovery.policies,
      (set): set is NonNullable<typeof set> => set !== null && set.compiled.allow.rules.length === 1,
    );
  });

  test("the store behind the API server goes deaf for a while: nothing is lost or opened", async () => {
    const made = await pod("orders-3", "orders");
    const sidecar = joinKube(target(), "orders", () => cluster.token("shop", "orders", { audiences, pod: made }));
    sidecars.push(sidecar);
    const before = await valueWhen(sidecar.holder.identity, isPresent);
    const policies = await valueWhen(sidecar.discovery.policies, isPresent);
    cluster.freezeEtcd(true);
    sidecar.holder.renew();
    await valueWhen(sidecar.holder.identity, (now): now is NonNullable<typeof now> => now !== null && now !== before);
    expect(sidecar.discovery.policies.get()).toBe(policies);
    cluster.freezeEtcd(false);
    await until(
      async () => (await cluster.kubectl(["delete", "authorizationpolicy", "-n", "shop", "after-restart"])).code,
      (code) => code === 0,
    );
    await valueWhen(
      sidecar.discovery.policies,
      (set): set is NonNullable<typeof set> => set !== null && set.compiled.allow.rules.length === 0,
    );
  });

  test("the leader is killed: another takes over and does its duties", async () => {
    const all = await until(
      () => Promise.all(replicas.map(status)),
      (now) => now.filter(({ cluster: told }) => told?.isLeader === true).length === 1,
    );
    const leaderAt = all.findIndex(({ cluster: told }) => told?.isLeader === true);
    const [leader] = replicas.splice(leaderAt, 1);
    leader!.process.child.kill("SIGKILL");
    await leader!.process.finished;
    await until(
      () => status(replicas[0]!),
      (now) => now.cluster?.isLeader === true,
    );
    await cluster.namespace("late");
    await until(rootOf("late"), (pem) => pem === rootPem);
  });

  test("its webhooks serve under the Service's name, and their roots come into the configurations", async () => {
    const configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/cardea-injector";
    await cluster.apply(webhookConfigurations());
    const found = await until(
      () => cluster.must("GET", configurations),
      ({ webhooks }) => webhooks.every(({ clientConfig }: AnyObject) => clientConfig.caBundle !== undefined),
    );
    const { name, namespace, path } = found.webhooks[0].clientConfig.service;
    const ca = Buffer.from(found.webhooks[0].clientConfig.caBundle as string, "base64").toString();
    expect(ca).toBe(rootPem);
    const dispatcher = new Agent({ connect: { ca, servername: `${name}.${namespace}.svc` } });
    const object = { metadata: { name: "new" }, spec: { containers: [{ name: "app", image: "app" }] } };
    const answer = await request(`https://127.0.0.1:${replicas[0]!.webhooks.port}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(admissionReview({ object })),
      dispatcher,
    });
    expect(await answer.body.json()).toMatchObject({ response: { allowed: true, patchType: "JSONPatch" } });
    await dispatcher.close();
    await cluster.kubectl(["delete", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "--all"]);
  });

  test("a replica that is told to end gives the lease up at once, and has needed no more rights than it has", async () => {
    const last = replicas.pop()!;
    last.process.child.kill("SIGTERM");
    expect(await last.process.finished).toMatchObject({ code: 0 });
    const lease = `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/cardea-control`;
    expect((await cluster.must("GET", lease)).spec.holderIdentity ?? "").toBe("");
    const next = await startReplica(cluster, "control-c");
    replicas.push(next);
    await cluster.namespace("later");
    await until(rootOf("later"), (pem) => pem === rootPem);
    next.process.child.kill("SIGTERM");
    const { stderr } = await next.process.finished;
    expect(stderr).toContain("leader-began");
    expect(stderr).not.toContain("forbidden");
    expect(stderr).not.toContain("PRIVATE KEY");
  });
});

function policy(name: string, spec: object): object[] {
  const metadata = { name, namespace: "shop" };
  return [{ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec }];
}

async function status({ admin }: KubeReplica): Promise<ControlStatus> {
  return (await (await fetch(`http://127.0.0.1:${admin.port}/status`)).json()) as ControlStatus;
}
