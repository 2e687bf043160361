import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type KubeCluster, openKubeCluster, whyNoKube } from "../support/kube-cluster.ts";

// The ground that the other suites on Kubernetes stand on.
describe.skipIf(whyNoKube !== null)(`a real API server (skipped where ${whyNoKube ?? "it is absent"})`, () => {
  let cluster: KubeCluster;
  beforeAll(async () => {
    cluster = await openKubeCluster();
  }, 120_000);
  afterAll(() => cluster?.close(), 30_000);

  test("nobody gets in without a credential, or with one of no rights", async () => {
    await cluster.namespace("shop");
    expect((await cluster.call("GET", "/api/v1/pods", undefined, { token: "nonsense" })).status).toBe(401);
    const token = await cluster.token("shop", "default");
    expect((await cluster.call("GET", "/api/v1/pods", undefined, { token })).status).toBe(403);
  });

  test("kubectl applies, and the pod security of a namespace is enforced", async () => {
    await cluster.apply([
      {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: "strict", labels: { "pod-security.kubernetes.io/enforce": "restricted" } },
      },
      { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace: "strict" } },
    ]);
    const pod = { metadata: { name: "p" }, spec: { containers: [{ name: "app", image: "app" }] } };
    const refused = await cluster.call("POST", "/api/v1/namespaces/strict/pods", pod);
    expect(refused.status).toBe(403);
    expect(refused.body.message).toContain("restricted");
  });

  test("a restarted server has what it had", async () => {
    await cluster.stopServer();
    await cluster.startServer();
    expect((await cluster.must("GET", "/api/v1/namespaces/strict")).metadata.name).toBe("strict");
  });
});
