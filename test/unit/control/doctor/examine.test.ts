import { describe, expect, test } from "vitest";
import { examine } from "../../../../src/control/doctor/examine.ts";
import { CHECK_TABLE, type CheckName } from "../../../../src/control/doctor/finding.ts";
import { makeManifests } from "../../../../src/control/install/manifests.ts";
import { parseValues } from "../../../../src/control/install/parse-values.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import { apiVersionOf, type KubeObject } from "../../../../src/core/kube.ts";
import { systemClock } from "../../../../src/io/clock.ts";
import { createSystemRandom } from "../../../../src/io/random.ts";
import { openAuthority } from "../../../../src/control/ca/authority.ts";
import { parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryKube, type MemoryKube } from "../../../support/memory-kube.ts";
import { createMemoryStateFiles } from "../../../support/memory-state-files.ts";

const GROUPS = [
  "admissionregistration.k8s.io/v1",
  "apiextensions.k8s.io/v1",
  "apps/v1",
  "authentication.k8s.io/v1",
  "coordination.k8s.io/v1",
  "discovery.k8s.io/v1",
  "rbac.authorization.k8s.io/v1",
];
const NOW_MS = systemClock.wallMs();
const SYSTEM = "cardea-system";

const { bundle } = await openAuthority({
  files: createMemoryStateFiles(),
  trustDomain: parseTrustDomain("cluster.local"),
  clock: systemClock,
  random: createSystemRandom(),
  logger: createKeptLog(),
});

function emptyCluster(): MemoryKube {
  const kube = createMemoryKube();
  kube.texts.set("/apis", JSON.stringify({ groups: [{ versions: GROUPS.map((groupVersion) => ({ groupVersion })) }] }));
  kube.onCreate("SelfSubjectAccessReview", () => ({ metadata: { name: "" }, status: { allowed: true } }));
  namespace(kube, SYSTEM);
  return kube;
}

/** Installed, its control plane well, and one pod in the mesh. */
function healthyCluster(...sets: string[]): MemoryKube {
  const kube = emptyCluster();
  const values = parseValues({ profile: "default", files: [], sets: ["image=cardea:1", ...sets] }, [])!;
  const host = sets.some((each) => each.startsWith("revision=")) ? "cardea-control-v2" : "cardea-control";
  for (const manifest of makeManifests({ values, namespace: SYSTEM }) as unknown as readonly KubeObject[]) {
    const resource = Object.values(KUBE).find(
      (each) => each.kind === manifest.kind && apiVersionOf(each) === manifest.apiVersion,
    )!;
    const webhooks = (manifest["webhooks"] as readonly { clientConfig: object }[] | undefined)?.map((each) => ({
      ...each,
      clientConfig: { ...each.clientConfig, caBundle: Buffer.from(bundle.pem).toString("base64") },
    }));
    const status = manifest.kind === "Deployment" ? { status: { readyReplicas: 1 } } : {};
    kube.put(resource, { ...manifest, ...(webhooks === undefined ? {} : { webhooks }), ...status });
  }
  const renewTime = new Date(NOW_MS - 2_000).toISOString();
  kube.put(KUBE.leases, {
    metadata: { name: host, namespace: SYSTEM },
    spec: { holderIdentity: "control-a", renewTime },
  });
  kube.put(KUBE.configMaps, {
    metadata: { name: "cardea-root-cert", namespace: SYSTEM, labels: { "app.kubernetes.io/part-of": "cardea" } },
    data: { "root-cert.pem": bundle.pem },
  });
  namespace(kube, "shop", { "cardea.dev/inject": "enabled" });
  kube.put(KUBE.pods, pod("web", { host: `${host}.${SYSTEM}.svc` }));
  return kube;
}

function namespace(kube: MemoryKube, name: string, labels: Record<string, string> = {}): void {
  kube.put(KUBE.namespaces, { metadata: { name, labels } });
}

function pod(name: string, { host = "", image = "cardea:1", isReady = true } = {}): KubeObject {
  const env = [{ name: "CARDEA_CONTROL_ADDRESS", value: `${host}:15012` }];
  const sidecar = { name: "cardea-proxy", image, env };
  return {
    metadata: { name, namespace: "shop", labels: { app: name } },
    spec: { initContainers: host === "" ? [] : [sidecar], containers: [{ name: "app" }] },
    status: { phase: "Running", initContainerStatuses: [{ name: "cardea-proxy", ready: isReady }] },
  };
}

async function wrongIn(kube: MemoryKube): Promise<readonly string[]> {
  const { findings } = await examine(kube, { namespace: SYSTEM, nowMs: NOW_MS });
  return findings
    .filter(({ verdict }) => verdict !== "ok")
    .map(({ check, verdict, about, message }) => `${check} ${verdict}: ${about === "" ? "" : `${about} `}${message}`);
}

test("an empty cluster that can be installed to has nothing wrong", async () => {
  const { installed, findings } = await examine(emptyCluster(), { namespace: SYSTEM, nowMs: NOW_MS });
  expect([installed, findings.filter(({ verdict }) => verdict !== "ok")]).toEqual([[], []]);
  expect(findings.map(({ check }) => check)).toContain("permissions");
});

test.each([[[]], [["revision=v2", "defaultRevision=true"]]])(
  "an installation that is well has nothing wrong: %j",
  async (sets) => {
    const kube = healthyCluster(...sets);
    expect(await wrongIn(kube)).toEqual([]);
    const { findings } = await examine(kube, { namespace: SYSTEM, nowMs: NOW_MS });
    const looked = new Set(findings.map(({ check }) => check));
    const others: readonly CheckName[] = ["permissions"];
    expect(Object.keys(CHECK_TABLE).filter((name) => !looked.has(name as CheckName))).toEqual(others);
  },
);

describe("before an installation it tells of", () => {
  test.each<[string, (kube: MemoryKube) => void, RegExp]>([
    [
      "an old server",
      (kube) => kube.texts.set("/version", '{"gitVersion":"v1.24.1"}'),
      /^version error: Kubernetes v1\.24/,
    ],
    [
      "a server without native sidecars",
      (kube) => kube.texts.set("/version", '{"gitVersion":"v1.28.1"}'),
      /^version warning: .*Jobs/,
    ],
    [
      "missing groups",
      (kube) => kube.texts.set("/apis", '{"groups":[]}'),
      /^apis error: missing: admissionregistration/,
    ],
    [
      "rights that are missing",
      (kube) =>
        kube.onCreate("SelfSubjectAccessReview", () => ({ metadata: { name: "" }, status: { allowed: false } })),
      /^permissions error: you may not create namespaces, patch namespaces/,
    ],
    [
      "Istio",
      (kube) => kube.put(KUBE.mutatingWebhooks, { metadata: { name: "istio-sidecar-injector-1-24" } }),
      /^meshes warning: Istio is in this cluster/,
    ],
    [
      "a namespace that asks two meshes",
      (kube) => namespace(kube, "both", { "cardea.dev/inject": "enabled", "istio-injection": "enabled" }),
      /^meshes error: namespace both asks Istio for sidecars, too/,
    ],
    [
      "a namespace that forbids redirection",
      (kube) =>
        namespace(kube, "strict", { "cardea.dev/inject": "enabled", "pod-security.kubernetes.io/enforce": "baseline" }),
      /^pod-security error: namespace strict enforces baseline/,
    ],
    ["what it may not look at", (kube) => kube.fail("list", "kube-forbidden", "kube-forbidden"), /unknown: /],
  ])("%s", async (_, change, wanted) => {
    const kube = emptyCluster();
    change(kube);
    expect(await wrongIn(kube)).toEqual(expect.arrayContaining([expect.stringMatching(wanted)]));
  });
});

describe("after an installation it tells of", () => {
  const at = { namespace: SYSTEM };
  test.each<[string, (kube: MemoryKube) => void, RegExp | readonly RegExp[]]>([
    [
      "replicas that are not ready",
      (kube) => kube.put(KUBE.deployments, { ...kube.peek(KUBE.deployments, "cardea-control", SYSTEM)!, status: {} }),
      /^replicas error: Deployment cardea-control none of 1 replicas is ready/,
    ],
    [
      "a webhook that is gone",
      (kube) => kube.take(KUBE.mutatingWebhooks, "cardea-injector"),
      /^webhooks error: cardea-injector is missing/,
    ],
    [
      "a guard that is gone",
      (kube) => kube.take(KUBE.admissionPolicies, "cardea-sidecar-required"),
      /^guard warning: pods that should have a sidecar start without one/,
    ],
    [
      "a guard that only warns",
      (kube) =>
        kube.put(KUBE.admissionPolicyBindings, {
          metadata: { name: "cardea-sidecar-required" },
          spec: { policyName: "cardea-sidecar-required", validationActions: ["Warn"] },
        }),
      /^guard warning: /,
    ],
    [
      "a webhook without roots",
      (kube) =>
        kube.put(KUBE.validatingWebhooks, { metadata: { name: "cardea-validator" }, webhooks: [{ clientConfig: {} }] }),
      /^webhooks error: cardea-validator has no roots yet/,
    ],
    [
      "a webhook with others' roots",
      (kube) =>
        kube.put(KUBE.validatingWebhooks, {
          metadata: { name: "cardea-validator" },
          webhooks: [{ clientConfig: { caBundle: Buffer.from("other").toString("base64") } }],
        }),
      /^webhooks error: cardea-validator has other roots/,
    ],
    [
      "roots that are not published",
      (kube) => kube.take(KUBE.configMaps, "cardea-root-cert", SYSTEM),
      /^roots error: are not published/,
    ],
    [
      "a Lease that nobody holds",
      (kube) => kube.take(KUBE.leases, "cardea-control", SYSTEM),
      /^leader error: .*nobody holds it/,
    ],
    [
      "a leader that is gone",
      (kube) =>
        kube.put(KUBE.leases, {
          metadata: { name: "cardea-control", ...at },
          spec: { holderIdentity: "control-a", renewTime: new Date(NOW_MS - 120_000).toISOString() },
        }),
      /^leader warning: .*has not renewed it for 120 s/,
    ],
    [
      "a revision that is not there",
      (kube) => namespace(kube, "lost", { "cardea.dev/rev": "v9" }),
      /^revisions error: namespace lost names the revision v9, which is not installed/,
    ],
    [
      "a pod without sidecar",
      (kube) => kube.put(KUBE.pods, pod("bare")),
      /^meshless error: pod shop\/bare has no sidecar/,
    ],
    [
      "a policy that nobody enforces",
      (kube) => {
        kube.put(KUBE.pods, {
          ...pod("bare"),
          metadata: { name: "bare", namespace: "shop", labels: { app: "bare", "cardea.dev/inject": "disabled" } },
        });
        const selector = { matchLabels: { app: "bare" } };
        kube.put(KUBE.authorizationPolicies, { metadata: { name: "guard", namespace: "shop" }, spec: { selector } });
      },
      [
        /^unguarded warning: pod shop\/bare has no sidecar: the policy shop\/guard selects it/,
        /^plaintext warning: namespace shop takes mutual TLS alone, so that its pods without a sidecar are refused.*: bare$/,
      ],
    ],
    [
      "a PeerAuthentication that nobody does",
      (kube) => {
        namespace(kube, "bank", {});
        kube.put(KUBE.pods, { ...pod("vault"), metadata: { name: "vault", namespace: "bank", labels: {} } });
        kube.put(KUBE.peerAuthentications, {
          metadata: { name: "strict", namespace: "bank" },
          spec: { mtls: { mode: "STRICT" } },
        });
      },
      /^plaintext warning: pod bank\/vault has no sidecar: the PeerAuthentication bank\/strict says STRICT of it/,
    ],
    [
      "an old sidecar",
      (kube) => kube.put(KUBE.pods, pod("old", { host: `cardea-control.${SYSTEM}.svc`, image: "cardea:0" })),
      /^sidecars warning: pod shop\/old runs cardea:0, installed is cardea:1/,
    ],
    [
      "a sidecar that is not ready",
      (kube) => kube.put(KUBE.pods, pod("slow", { host: `cardea-control.${SYSTEM}.svc`, isReady: false })),
      /^sidecars warning: pod shop\/slow has a sidecar that is not ready/,
    ],
    [
      "a sidecar of a control plane that is gone",
      (kube) => kube.put(KUBE.pods, pod("left", { host: `cardea-control-v1.${SYSTEM}.svc` })),
      /^sidecars error: pod shop\/left asks cardea-control-v1\.cardea-system\.svc, and no such control plane/,
    ],
  ])("%s", async (_, change, wanted) => {
    const kube = healthyCluster();
    change(kube);
    expect(await wrongIn(kube)).toEqual([wanted].flat().map((each) => expect.stringMatching(each)));
  });

  test("says nothing of pods that were left out where plaintext is let in, nor of what holds for the mesh", async () => {
    const kube = healthyCluster();
    const labels = { "cardea.dev/inject": "disabled" };
    kube.put(KUBE.pods, { ...pod("bare"), metadata: { name: "bare", namespace: "shop", labels } });
    const modes = [
      ["shop", "PERMISSIVE"],
      [SYSTEM, "STRICT"],
    ] as const;
    for (const [where, mode] of modes)
      kube.put(KUBE.peerAuthentications, { metadata: { name: "all", namespace: where }, spec: { mtls: { mode } } });
    expect(await wrongIn(kube)).toEqual([]);
  });

  test("a namespace that only the default would serve, where no revision is the default", async () => {
    expect(await wrongIn(healthyCluster("revision=v2"))).toEqual([
      expect.stringMatching(/^revisions error: namespace shop names no revision, and no installation is the default/),
    ]);
  });

  test("a cluster that is away is an error of reaching it, not a finding", async () => {
    const kube = healthyCluster();
    kube.fail("list", "unreachable");
    await expect(examine(kube, { namespace: SYSTEM, nowMs: NOW_MS })).rejects.toMatchObject({ code: "unreachable" });
  });
});
