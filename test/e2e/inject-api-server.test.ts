import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { findPodTemplates } from "../../src/control/inject/pod-templates.ts";
import type { JsonObject, JsonValue } from "../../src/core/json-value.ts";
import { corpusPath } from "../support/corpus.ts";
import { containerOf, mustInject, namesOf, podOf } from "../support/injected.ts";
import { type KubeAnswer, type KubeCluster, openKubeCluster, whyNoKube } from "../support/kube-cluster.ts";

// What injection makes, before the one judge that counts: its schema, its defaults, its Pod Security.

let cluster: KubeCluster;

beforeAll(async () => {
  if (whyNoKube !== null) return;
  cluster = await openKubeCluster();
  await cluster.namespace("shop");
  await cluster.namespace("strict", { "pod-security.kubernetes.io/enforce": "restricted" });
}, 120_000);
afterAll(async () => {
  if (whyNoKube === null) await cluster.close();
});

/** The server's own form of a pod: checked with every field known, defaults and API token filled in, not kept. */
async function dryRun(pod: JsonValue, namespace = "shop"): Promise<KubeAnswer> {
  const { metadata, spec } = pod as { metadata: JsonObject; spec: JsonObject };
  const { labels = {}, annotations = {} } = metadata;
  const body = { apiVersion: "v1", kind: "Pod", metadata: { name: "web", labels, annotations }, spec };
  return cluster.call("POST", `/api/v1/namespaces/${namespace}/pods?dryRun=All&fieldValidation=Strict`, body);
}

async function accepted(pod: JsonValue, namespace?: string): Promise<JsonValue> {
  const { status, body } = await dryRun(pod, namespace);
  expect({ status, message: (body as { message?: string }).message }).toEqual({ status: 201, message: undefined });
  return body as JsonValue;
}

/** All that the API server fills in, for an app that passes `restricted` by itself. */
const RESTRICTED_APP = {
  containers: [
    {
      name: "web",
      image: "web:1",
      ports: [{ containerPort: 8080, name: "http" }],
      readinessProbe: { httpGet: { path: "/up", port: "http" } },
      livenessProbe: { grpc: { port: 9000 } },
      startupProbe: { tcpSocket: { port: 8080 } },
      securityContext: {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ["ALL"] },
        runAsNonRoot: true,
        seccompProfile: { type: "RuntimeDefault" },
      },
    },
  ],
};

describe.skipIf(whyNoKube !== null)(
  `a real API server (skipped where there is none: ${whyNoKube ?? "there is"})`,
  () => {
    const apps = ["online-boutique", "bookinfo", "emojivoto", "sock-shop", "hotel-reservation"];
    const pods = apps.flatMap((app) => podsOf(corpusPath(app)));

    test.skipIf(pods.length === 0)(
      "takes every pod of the corpus, and leaves a second injection nothing to do",
      async () => {
        expect(pods.length).toBeGreaterThan(60);
        for (const pod of pods) {
          const seen = await accepted(ofDefaultAccount(pod));
          for (const sidecar of ["native", "container"] as const) {
            const injected = await accepted(mustInject(seen, { sidecar }).pod);
            expect(mustInject(injected, { sidecar }).patch).toEqual([]);
          }
        }
      },
      300_000,
    );

    test("takes all that annotations can ask for", async () => {
      const annotations = {
        "cardea.dev/workload-api": "true",
        "cardea.dev/opaque-ports": "3306,9000-9010",
        "cardea.dev/concurrency": "2",
        "cardea.dev/exclude-outbound-cidrs": "10.0.0.0/8,fd00::/8",
        "cardea.dev/proxy-memory-limit": "2Gi",
      };
      const injected = await accepted(mustInject(await accepted(podOf(RESTRICTED_APP, { annotations }))).pod);
      expect(mustInject(injected).patch).toEqual([]);
    });

    test("takes a Job's pod", async () => {
      const seen = await accepted(podOf({ ...RESTRICTED_APP, restartPolicy: "OnFailure" }));
      expect(namesOf(await accepted(mustInject(seen).pod), "initContainers")).toEqual([
        "cardea-redirect",
        "cardea-proxy",
      ]);
    });

    test("mounts its token into the app's containers, and not into ours", async () => {
      const injected = await accepted(mustInject(podOf(RESTRICTED_APP)).pod);
      const mountsOf = (name: string): readonly string[] =>
        (containerOf(injected, name)["volumeMounts"] as readonly { name: string }[]).map((mount) => mount.name);
      expect(mountsOf("web").join()).toContain("kube-api-access");
      for (const name of ["cardea-proxy", "cardea-redirect"])
        expect(mountsOf(name).join()).not.toContain("kube-api-access");
    });

    test("in a namespace of Pod Security's restricted, it objects to the redirect alone", async () => {
      await accepted(podOf(RESTRICTED_APP), "strict");
      const { pod } = mustInject(podOf(RESTRICTED_APP));
      const { status, body } = await dryRun(pod, "strict");
      expect(status).toBe(403);
      const message = (body as { message: string }).message;
      expect(message).toContain('container "cardea-redirect"');
      expect(message).not.toContain("cardea-proxy");
      await accepted(withoutRedirect(pod), "strict");
      await accepted(withoutRedirect(mustInject(podOf(RESTRICTED_APP), { sidecar: "container" }).pod), "strict");
    });
  },
);

function withoutRedirect(pod: JsonValue): JsonValue {
  const { spec, ...rest } = pod as { spec: Record<string, readonly JsonObject[]> };
  const initContainers = spec["initContainers"]!.filter(({ name }) => name !== "cardea-redirect");
  return { ...rest, spec: { ...spec, initContainers } };
}

/** There are no controllers that would make the apps' own accounts. */
function ofDefaultAccount(pod: JsonValue): JsonValue {
  const { metadata = {}, spec } = pod as { metadata?: JsonObject; spec: JsonObject };
  const { serviceAccountName: _, serviceAccount: __, ...others } = spec;
  return { metadata, spec: others };
}

function podsOf(directory: string | null): readonly JsonValue[] {
  if (directory === null) return [];
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.ya?ml$/.test(path))
    .flatMap((path) => {
      const documents = parseAllDocuments(readFileSync(join(directory, path), "utf8"));
      const values = Array.isArray(documents) ? documents.map((each) => each.toJS() as JsonValue) : [];
      return values.flatMap((value) => findPodTemplates(value).map(({ pod }) => pod));
    });
}
