import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_GUARD, GUARD_NAME, sidecarGuard } from "../../src/control/admission/sidecar-guard.ts";
import {
  type AnyObject,
  type KubeAnswer,
  type KubeCluster,
  openKubeCluster,
  whyNoKube,
} from "../support/kube-cluster.ts";
import { installControl, type KubeReplica, startReplica, until, webhooksAt } from "../support/kube-control.ts";

// The rule that the API server keeps by itself says of each pod what injection says: with the webhook there it refuses
// nobody, without it exactly those that would have got a sidecar.

interface Words {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

const NAMESPACES: readonly Words[] = [
  {},
  { labels: { "cardea.dev/inject": "enabled" } },
  { labels: { "cardea.dev/inject": "true" } },
  { labels: { "cardea.dev/inject": "disabled" } },
  { labels: { "cardea.dev/inject": "perhaps" } },
  { labels: { "istio-injection": "enabled" } },
  { labels: { "cardea.dev/inject": "enabled", "istio-injection": "disabled" } },
  { annotations: { "linkerd.io/inject": "enabled" } },
  { labels: { "cardea.dev/inject": "enabled" }, annotations: { "cardea.dev/inject": "disabled" } },
];

const PODS: readonly (Words & { readonly spec?: AnyObject })[] = [
  {},
  { labels: { "cardea.dev/inject": "enabled" } },
  { labels: { "cardea.dev/inject": "disabled" } },
  { labels: { "cardea.dev/inject": "perhaps" } },
  { annotations: { "cardea.dev/inject": "enabled" } },
  { annotations: { "cardea.dev/inject": "false" } },
  { labels: { "cardea.dev/inject": "true" }, annotations: { "cardea.dev/inject": "false" } },
  { labels: { "sidecar.istio.io/inject": "false" } },
  { annotations: { "sidecar.istio.io/inject": "true" } },
  { annotations: { "sidecar.istio.io/inject": "false", "linkerd.io/inject": "enabled" } },
  { labels: { "cardea.dev/inject": "true", "sidecar.istio.io/inject": "false" } },
  { labels: { "istio.io/rev": "stable" } },
  { annotations: { "linkerd.io/inject": "disabled" } },
  { spec: { hostNetwork: true } },
  { annotations: { "sidecar.istio.io/inject": "true" }, spec: { another: true } },
  { spec: { another: true } },
];

describe.skipIf(whyNoKube !== null)(`the guard of the API server (skipped where ${whyNoKube ?? "absent"})`, () => {
  let cluster: KubeCluster;
  let replica: KubeReplica;

  beforeAll(async () => {
    cluster = await openKubeCluster();
    await installControl(cluster);
    for (const [index, { labels, annotations }] of NAMESPACES.entries()) {
      await cluster.namespace(`n${index}`, labels);
      const change = { metadata: { annotations } };
      await cluster.must("PATCH", `/api/v1/namespaces/n${index}`, change, MERGE);
    }
    await cluster.namespace("of-no-revision", { "cardea.dev/rev": "gone" });
    replica = await startReplica(cluster, "control-a");
    await cluster.apply([...webhooksAt(replica), ...sidecarGuard(DEFAULT_GUARD)] as readonly object[]);
    await until(() => create("n1", {}), isInjected);
    await until(
      () => create("of-no-revision", {}),
      ({ status }) => status === 403,
    );
  }, 180_000);
  afterAll(async () => {
    replica?.process.child.kill("SIGKILL");
    await replica?.process.finished;
    await cluster?.close();
  }, 60_000);

  const create = (
    namespace: string,
    { labels, annotations, spec = {} }: (typeof PODS)[number],
  ): Promise<KubeAnswer> => {
    const { another = false, ...rest } = spec;
    const containers = [{ name: "app", image: "app" }, ...(another ? [{ name: "istio-proxy", image: "proxyv2" }] : [])];
    const pod = { metadata: { name: "tried", labels, annotations }, spec: { containers, ...rest } };
    return cluster.call("POST", `/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod);
  };

  /** What becomes of each pod in each namespace. */
  async function outcomes(): Promise<Readonly<Record<string, string>>> {
    const found: Record<string, string> = {};
    for (const [index, namespace] of NAMESPACES.entries())
      for (const pod of PODS) {
        const answer = await create(`n${index}`, pod);
        found[JSON.stringify({ namespace, pod })] = outcomeOf(answer);
      }
    return found;
  }

  test("with the webhook it refuses nobody; without it, exactly those that would have got a sidecar", async () => {
    const before = await outcomes();
    const kinds = Object.values(before);
    expect(new Set(kinds)).toEqual(new Set(["injected", "left", "refused by injection"]));
    await cluster.kubectl(["delete", "mutatingwebhookconfiguration", "cardea-injector"]);
    await until(
      () => create("n1", {}),
      (answer) => !isInjected(answer),
    );
    const wanted = Object.fromEntries(
      Object.entries(before).map(([key, outcome]) => [key, outcome === "left" ? "left" : "refused by the guard"]),
    );
    expect(await outcomes()).toEqual(wanted);
  }, 120_000);

  test("a namespace of a revision that is not installed has no pods without sidecars, and the refusal says how to mend it", async () => {
    const { status, body } = await create("of-no-revision", {});
    expect([status, body.message]).toEqual([403, expect.stringContaining("label it cardea.dev/inject: disabled")]);
    expect((await create("of-no-revision", { labels: { "cardea.dev/inject": "disabled" } })).status).toBe(201);
  });

  test.each(["kube-system", "cardea-system"])("%s is none of its business", async (namespace) => {
    await cluster
      .must("POST", "/api/v1/namespaces/kube-system/serviceaccounts", { metadata: { name: "default" } })
      .catch(() => {});
    await cluster.must(
      "PATCH",
      `/api/v1/namespaces/${namespace}`,
      { metadata: { labels: { "cardea.dev/inject": "enabled" } } },
      MERGE,
    );
    expect((await create(namespace, {})).status).toBe(201);
  });
});

const MERGE = { contentType: "application/merge-patch+json" };

function outcomeOf(answer: KubeAnswer): string {
  if (answer.status === 201) return isInjected(answer) ? "injected" : "left";
  const { message } = answer.body as { readonly message: string };
  if (message.includes(`ValidatingAdmissionPolicy '${GUARD_NAME}'`)) return "refused by the guard";
  return message.includes("inject.cardea.dev") ? "refused by injection" : message;
}

function isInjected({ body }: KubeAnswer): boolean {
  return (body.spec?.initContainers ?? []).some((each: AnyObject) => each.name === "cardea-proxy");
}
