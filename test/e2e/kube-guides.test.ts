import { afterEach, describe, expect, test, vi } from "vitest";
import { whyNoContainers } from "../support/container.ts";
import { type FollowedMesh, openFollowedMesh } from "../support/followed-mesh.ts";
import { readGuide, sectionsToFollow } from "../support/guide.ts";
import { type AnyObject, whyNoKube } from "../support/kube-cluster.ts";
import { SYSTEM, until } from "../support/kube-control.ts";
import { APP_UID } from "../support/pod-network.ts";
import { runProgram } from "../support/programs.ts";

// The guides to install, upgrade and mend, followed to the letter, each section as often as the story needs it: their
// blocks are given to a shell, with the real control plane, sidecars and redirection in network namespaces. `web` calls
// `orders` throughout.

const hasNft = process.getuid?.() === 0 && (await runProgram("unshare", ["--net", "nft", "list", "tables"])).code === 0;
const why = whyNoKube ?? whyNoContainers ?? (hasNft ? null : "needs nft");
const whyNoHelm = why ?? (process.env["HELM"] === undefined ? "HELM names no helm" : null);

vi.setConfig({ testTimeout: 480_000, hookTimeout: 120_000 });

const GUIDES = {
  install: readGuide("install"),
  upgrade: readGuide("upgrade"),
  troubleshoot: readGuide("troubleshoot-kubernetes"),
} as const;

/** Blocks that cannot be followed here, by their first words, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  "kubectl -n cardea-system port-forward": "the test's kubelet answers for logs alone; port-forward is SPDY",
};

/** What the stories below have followed; the last test looks for sections that none of them has. */
const followedSections = new Set<string>();

describe.skipIf(why !== null)(`a guide is followed${why === null ? "" : ` (${why})`}`, () => {
  let followed: FollowedMesh | undefined;
  afterEach(async () => {
    await followed?.close();
    followed = undefined;
  });

  async function begin(): Promise<void> {
    followed = await openFollowedMesh({ running: ["shop"] });
    await followed.mesh.cluster.namespace("shop");
    await followed.sh(`kubectl apply -n shop -f - <<'EOF'\n${shopManifests()}\nEOF`);
    await followed.sh("kubectl rollout status deployment -n shop --timeout 2m");
    expect(await call()).toBe(200);
  }

  function follow(guide: keyof typeof GUIDES, section: string): Promise<string> {
    followedSections.add(`${guide}: ${section}`);
    return followed!.follow(GUIDES[guide], section, Object.keys(LEFT_OUT));
  }

  /** The status that web gets from orders; 0: no answer. */
  async function call(): Promise<number> {
    const { mesh } = followed!;
    const { spec } = await mesh.cluster.must("GET", "/api/v1/namespaces/shop/services/orders");
    const called = followed!.podOf("shop", "orders");
    const from = followed!.podOf("shop", "web");
    // Nobody does kube-proxy's part for pods without a sidecar.
    const host = "running" in from ? (spec.clusterIP as string) : `${called.network.ipv4}:8080`;
    const format = ["-s", "-o", "/dev/null", "-w", "%{http_code}"];
    return Number((await from.network.run(APP_UID, "curl", ...format, "-m", "5", `http://${host}/`)).stdout);
  }

  const untilCall = (wanted: number): Promise<number> => until(call, (status) => status === wanted);

  async function sidecarImages(): Promise<readonly string[]> {
    const { items } = await followed!.mesh.cluster.must("GET", "/api/v1/namespaces/shop/pods");
    return (items as AnyObject[]).flatMap(({ spec }) =>
      (spec.initContainers ?? []).flatMap(({ name, image }: AnyObject) => (name === "cardea-proxy" ? [image] : [])),
    );
  }

  async function leftOfUs(): Promise<readonly string[]> {
    const kinds = (
      await followed!.sh(
        "kubectl api-resources --verbs=list -o name | grep -vE '^(events|componentstatuses|endpoints)'",
      )
    )
      .trim()
      .split("\n");
    const left = (await followed!.sh(`kubectl get ${kinds.join(",")} -A --ignore-not-found -o name`))
      .trim()
      .split("\n");
    // Controllers, which a cluster has and this one has not, would end the namespace and what Deployments made.
    const bare = /^(namespace\/cardea-system|endpointslice|replicaset|pod\/|event|lease.*\/kube|secret\/sh.helm)/;
    return left.filter((each) => /cardea|istio/.test(each) && !bare.test(each));
  }

  test("install, bring a namespace in, look, take it out again: nothing is left but Istio's kinds", async () => {
    await begin();
    expect(await follow("install", "Look first")).toContain("0 errors");
    await follow("install", "Install");
    expect(await call()).toBe(200);
    expect(await follow("install", "Bring a namespace into the mesh")).toContain("orders created");
    expect(await followed!.sidecarsIn("shop")).toEqual([true, true]);
    await untilCall(200);
    await followed!.sh("kubectl delete authorizationpolicy orders -n shop");
    await untilCall(403);
    await until(
      () => follow("install", "Look again"),
      (told) => told.includes("in force at 2 of 2 sidecars"),
    );
    await follow("install", "Remove it");
    expect(await followed!.sidecarsIn("shop")).toEqual([false, false]);
    expect(await call()).toBe(200);
    expect((await leftOfUs()).filter((each) => !each.includes("istio.io"))).toEqual([]);
  });

  test("upgrade in place, then by a revision that takes over, and the old one goes; calls go on", async () => {
    await begin();
    await follow("install", "Install");
    await follow("install", "Bring a namespace into the mesh");
    await untilCall(200);
    await follow("upgrade", "In place");
    expect(await sidecarImages()).toEqual(both("registry.example/cardea:0.2.0"));
    await untilCall(200);
    await follow("upgrade", "By a revision, namespace after namespace");
    await untilCall(200);
    expect(await followed!.sidecarsIn("shop")).toEqual([true, true]);
    const { stdout } = await followed!.mesh.command("doctor");
    expect(stdout).toContain("Cardea is installed in cardea-system: v2");
    const kinds = await followed!.sh(`kubectl get deployment,mutatingwebhookconfiguration -n ${SYSTEM} -o name`);
    expect(kinds.trim().split("\n")).toEqual([
      "deployment.apps/cardea-control-v2",
      "mutatingwebhookconfiguration.admissionregistration.k8s.io/cardea-injector",
      "mutatingwebhookconfiguration.admissionregistration.k8s.io/cardea-injector-v2",
    ]);
  });

  test("the key is lost: nobody starts until a new root is asked for, and then everybody trusts it", async () => {
    await begin();
    await follow("install", "Install");
    await follow("install", "Bring a namespace into the mesh");
    await untilCall(200);
    expect(
      await until(
        () => follow("troubleshoot", "Where to look"),
        () => true,
      ),
    ).toContain("leader-began");
    const root = (): Promise<string> => followed!.sh("kubectl get configmap cardea-root-cert -n shop -o yaml");
    const before = await root();
    await followed!.killControl();
    await followed!.sh(`kubectl delete secret cardea-ca -n ${SYSTEM}`);
    await follow("troubleshoot", "Begin with a new root");
    expect(await root()).not.toBe(before);
    await untilCall(200);
  });

  test.skipIf(whyNoHelm !== null)(
    `with Helm: install, upgrade in place and by a revision, remove (skipped where ${whyNoHelm ?? "absent"})`,
    async () => {
      await begin();
      await follow("install", "Or install with Helm");
      await follow("install", "Bring a namespace into the mesh");
      await untilCall(200);
      await follow("upgrade", "With Helm");
      expect(await sidecarImages()).toEqual(both("registry.example/cardea:0.3.0"));
      await untilCall(200);
      await followed!.sh("helm uninstall mesh-v2 -n cardea-system; cardea uninstall --revision v2 --yes");
      await followed!.sh("helm install mesh deploy/chart -n cardea-system --set image=registry.example/cardea:0.1.0");
      await followed!.sh("kubectl rollout status -n cardea-system deployment/cardea-control");
      await follow("install", "Remove it, with Helm");
      expect(await call()).toBe(200);
      expect((await leftOfUs()).filter((each) => !each.includes("istio.io"))).toEqual([]);
    },
  );

  test.each(Object.entries(LEFT_OUT))("left out, and still in a guide: %s (%s)", (words) => {
    const blocks = Object.values(GUIDES).flatMap((read) => [...read.values()].flat());
    expect(blocks.filter((block) => block.startsWith(words))).toHaveLength(1);
  });

  test("no section of these guides that says what to type is left out", () => {
    const sections = Object.entries(GUIDES).flatMap(([guide, read]) =>
      sectionsToFollow(read).map((section) => `${guide}: ${section}`),
    );
    const unfollowed = sections.filter((each) => !followedSections.has(each));
    expect(unfollowed.filter((each) => whyNoHelm === null || !each.includes("Helm"))).toEqual([]);
  });
});

function both(image: string): readonly string[] {
  return [image, image];
}

function shopManifests(): string {
  return ["web", "orders"].map(serviceNamed).join("\n---\n");
}

function serviceNamed(name: string): string {
  return `apiVersion: v1
kind: ServiceAccount
metadata: { name: ${name} }
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, labels: { app: ${name} } }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      serviceAccountName: ${name}
      automountServiceAccountToken: false
      containers: [{ name: app, image: "${name}:1", ports: [{ containerPort: 8080 }] }]`;
}
