import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { webhookConfigurations } from "../../src/control/admission/webhook-configuration.ts";
import { createCaBundlePort, createNamespaceLookup } from "../../src/control/kube/kube-webhooks.ts";
import { parseKubeconfig } from "../../src/config/kube-config.ts";
import { systemClock } from "../../src/io/clock.ts";
import { type KubeClient, openKubeClient } from "../../src/io/kube-client.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import { readText } from "../../src/io/files.ts";
import {
  type AnyObject,
  type KubeAnswer,
  type KubeCluster,
  openKubeCluster,
  whyNoKube,
} from "../support/kube-cluster.ts";
import { createWebhookWorld } from "../support/webhook-world.ts";

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await isSo())) if (performance.now() > deadline) throw new Error("it did not come to be");
}

// The webhooks before a real API server: it takes the configurations, CEL included, and does what they say.
describe.skipIf(whyNoKube !== null)(`the webhooks of a cluster (skipped where ${whyNoKube ?? "there is none"})`, () => {
  let cluster: KubeCluster;
  let kube: KubeClient;
  let world: Awaited<ReturnType<typeof createWebhookWorld>>;
  let webhooks: Awaited<ReturnType<typeof world.open>>;

  beforeAll(async () => {
    cluster = await openKubeCluster();
    const connection = parseKubeconfig(await readText(cluster.kubeconfig), cluster.kubeconfig);
    kube = openKubeClient({ connection, clock: systemClock, random: createSystemRandom(), userAgent: "test" });
    const namespaceOf = createNamespaceLookup(kube, new Map());
    world = await createWebhookWorld({ namespaceOf }, createCaBundlePort(kube));
    webhooks = await world.open();
    await cluster.apply([crd()]);
    await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=60s", `crd/${CRD}`]);
    await cluster.namespace("shop", { "cardea.dev/inject": "enabled" });
    await cluster.namespace("vault", { "cardea.dev/inject": "enabled", "cardea.dev/bypass-checks": "enforce" });
    await cluster.namespace("other");
    await cluster.must("POST", "/api/v1/namespaces/kube-system/serviceaccounts", { metadata: { name: "default" } });
    await cluster.must(
      "PATCH",
      "/api/v1/namespaces/kube-system",
      { metadata: { labels: { "cardea.dev/inject": "enabled" } } },
      { contentType: "application/merge-patch+json" },
    );
    await cluster.apply(atPort(webhooks.address.port));
    // The roots are put in by the webhooks' own keeper; the server's view of configurations follows within moments.
    await until(async () => hasSidecar((await create("shop", pod("warm-up"), "?dryRun=All")).body));
  }, 180_000);
  afterAll(async () => {
    await webhooks?.close();
    await kube?.close();
    await cluster?.close();
  }, 60_000);

  const create = (namespace: string, object: object, query = ""): Promise<KubeAnswer> =>
    cluster.call("POST", `/api/v1/namespaces/${namespace}/pods${query}`, object);

  test("a pod of a meshed namespace comes out with its sidecar, one of another as it was", async () => {
    const { status, body } = await create("shop", pod("ledger"));
    expect([status, hasSidecar(body)]).toEqual([201, true]);
    const other = await create("other", pod("ledger"));
    expect([other.status, hasSidecar(other.body)]).toEqual([201, false]);
    const optIn = pod("opts-in", { metadata: { labels: { "cardea.dev/inject": "enabled" } } });
    expect(hasSidecar((await create("other", optIn)).body)).toBe(true);
  });

  test("a pod that goes around the mesh is refused in enforce mode with our message, and warned of in audit mode", async () => {
    const bad = pod("bad", {
      spec: { containers: [{ name: "app", image: "app", securityContext: { capabilities: { add: ["NET_ADMIN"] } } }] },
    });
    const refused = await create("vault", bad);
    expect(refused.status).toBe(403);
    expect(refused.body.message).toMatch(
      /enforced\.pods\.cardea\.dev.*a way around the mesh\ncapability: spec\.containers\[0\]/s,
    );
    expect((await create("shop", bad)).status).toBe(201);
    expect((await create("vault", pod("good"))).status).toBe(201);
  });

  test("kubectl shows the warnings", async () => {
    const hostPort = pod("warned", {
      spec: { containers: [{ name: "app", image: "a", ports: [{ containerPort: 80, hostPort: 80 }] }] },
    });
    const { stderr } = await cluster.kubectl(
      ["create", "-n", "shop", "-f", "-"],
      JSON.stringify({ apiVersion: "v1", kind: "Pod", ...hostPort }),
    );
    expect(stderr).toMatch(/Warning: host-port: spec\.containers\[0\]/);
  });

  test("a debugger with NET_ADMIN, and another image for a sidecar that runs, are refused", async () => {
    const at = "/api/v1/namespaces/vault/pods/good";
    const debuggers = [{ name: "d", image: "x", securityContext: { capabilities: { add: ["NET_ADMIN"] } } }];
    const strategic = { contentType: "application/strategic-merge-patch+json" };
    const debug = await cluster.call(
      "PATCH",
      `${at}/ephemeralcontainers`,
      { spec: { ephemeralContainers: debuggers } },
      strategic,
    );
    expect([debug.status, debug.body.message]).toEqual([
      403,
      expect.stringMatching(/capability: spec\.ephemeralContainers\[0\]/),
    ]);
    const image = await cluster.call(
      "PATCH",
      at,
      { spec: { initContainers: [{ name: "cardea-proxy", image: "evil" }] } },
      strategic,
    );
    expect([image.status, image.body.message]).toEqual([403, expect.stringMatching(/sidecar-changed/)]);
  });

  test("a bad policy is refused by kubectl in the words of policy check; a good one is taken", async () => {
    const bad = await cluster.kubectl(["create", "-f", "-"], JSON.stringify(policy("bad", { action: "PERMIT" })));
    expect(bad.stderr).toContain('spec.action: expected one of ALLOW, DENY, AUDIT, CUSTOM, found "PERMIT"');
    expect(bad.code).toBe(1);
    expect(await cluster.kubectl(["create", "-f", "-"], JSON.stringify(policy("good", { rules: [{}] })))).toMatchObject(
      { code: 0 },
    );
  });

  test("while we are away nobody else waits, and nothing of the mesh runs without us", async () => {
    await cluster.must(
      "PATCH",
      "/api/v1/namespaces/vault/pods/good",
      { metadata: { finalizers: ["test.dev/hold"] } },
      { contentType: "application/merge-patch+json" },
    );
    const { port } = webhooks.address;
    await webhooks.close();
    const refused = await create("shop", pod("uninjected"));
    expect([refused.status, refused.body.message]).toEqual([
      500,
      expect.stringMatching(/namespace\.inject\.cardea\.dev/),
    ]);
    for (const [namespace, object] of [
      ["other", pod("second")],
      ["kube-system", pod("dns")],
      ["shop", pod("agent", { spec: { hostNetwork: true, containers: [{ name: "app", image: "app" }] } })],
    ] as const)
      expect((await create(namespace, object)).status, namespace).toBe(201);
    // What is there can be labelled, let go of, and deleted, in enforce mode too.
    const merge = { contentType: "application/merge-patch+json" };
    const at = "/api/v1/namespaces/vault/pods/good";
    expect((await cluster.call("PATCH", at, { metadata: { labels: { a: "b" } } }, merge)).status).toBe(200);
    expect((await cluster.call("DELETE", `${at}?gracePeriodSeconds=0`)).status).toBe(200);
    expect((await cluster.call("PATCH", at, { metadata: { finalizers: null } }, merge)).status).toBe(200);
    const away = await cluster.kubectl(["create", "-f", "-"], JSON.stringify(policy("unseen", { rules: [{}] })));
    expect(away.code).toBe(1);
    webhooks = await world.open(port);
    expect(hasSidecar((await create("shop", pod("injected-again"))).body)).toBe(true);
  });

  test("manifests that are applied anew wipe the roots out, and they come back", async () => {
    const at = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/cardea-injector";
    const [bare] = atPort(webhooks.address.port);
    const { metadata } = await cluster.must("GET", at);
    await cluster.must("PUT", at, { ...bare, metadata });
    await until(async () => {
      const found = await cluster.must("GET", at);
      return found.webhooks.every((each: AnyObject) => each.clientConfig.caBundle !== undefined);
    });
  }, 60_000);
});

const CRD = "authorizationpolicies.security.istio.io";

/** There is no cluster network here: the server calls a port of this machine in the place of the Service. */
function atPort(port: number): readonly AnyObject[] {
  const configurations = structuredClone(webhookConfigurations()) as readonly AnyObject[];
  for (const each of configurations) {
    for (const webhook of each.webhooks) {
      webhook.clientConfig = { url: `https://localhost:${port}${webhook.clientConfig.service.path}` };
    }
  }
  return configurations;
}

function pod(name: string, { metadata = {}, spec }: { metadata?: object; spec?: object } = {}): object {
  return { metadata: { name, ...metadata }, spec: spec ?? { containers: [{ name: "app", image: "app" }] } };
}

function hasSidecar(body: AnyObject): boolean {
  return (body.spec?.initContainers ?? []).some((each: AnyObject) => each.name === "cardea-proxy");
}

function policy(name: string, spec: object): object {
  return {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace: "shop" },
    spec,
  };
}

function crd(): object {
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
