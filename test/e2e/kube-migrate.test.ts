import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseAllDocuments } from "yaml";
import { whyNoContainers } from "../support/container.ts";
import { corpusPath } from "../support/corpus.ts";
import { type InstalledMesh, openInstalledMesh, type Replica } from "../support/installed-mesh.ts";
import { type AnyObject, whyNoKube } from "../support/kube-cluster.ts";
import { bindPod, createPodsOf, setPodReady, setReadyReplicas } from "../support/kube-controllers.ts";
import { SYSTEM, until } from "../support/kube-control.ts";
import { runProgram } from "../support/programs.ts";

// The guides to move from another mesh, followed to the letter: each block of commands is given to a shell. `kubectl logs`
// alone is left out, since no kubelet is there to answer it.

const bookinfo = corpusPath("bookinfo");
const emojivoto = corpusPath("emojivoto");
const noCorpus = bookinfo === null || emojivoto === null ? "the corpus is not beside the repository" : null;
const why = whyNoKube ?? whyNoContainers ?? noCorpus;

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const PROGRAM = fileURLToPath(new URL("../../bin/cardea.js", import.meta.url));

describe.skipIf(why !== null)(`a namespace moves${why === null ? "" : ` (${why})`}`, () => {
  let mesh: InstalledMesh;
  let replicas: readonly Replica[] = [];
  let over = new AbortController();
  let controllers: Promise<void>;

  beforeEach(async () => {
    mesh = await openInstalledMesh();
    [replicas, over] = [[], new AbortController()];
    const shim = join(mesh.cluster.directory, "cardea");
    writeFileSync(shim, `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
    chmodSync(shim, 0o755);
    controllers = runControllers(over.signal);
  });
  afterEach(async () => {
    over.abort();
    await controllers;
    await mesh.close();
  });

  /** Deployments are rolled out until the test is over. */
  async function runControllers(signal: AbortSignal): Promise<void> {
    const rollOutAll = async (): Promise<boolean> => {
      const { items } = await mesh.cluster.must("GET", "/apis/apps/v1/deployments");
      for (const each of items as AnyObject[])
        if (each.status.observedGeneration !== each.metadata.generation) await rollOut(each);
      return signal.aborted;
    };
    await until(rollOutAll, (isOver) => isOver, 240_000);
  }

  async function rollOut(deployment: AnyObject): Promise<void> {
    const { namespace } = deployment.metadata;
    if (namespace === SYSTEM) {
      const old = replicas;
      replicas = await mesh.startReplicas();
      for (const each of old) await mesh.killReplica(each);
      return;
    }
    const selector = Object.entries(deployment.spec.selector.matchLabels as Record<string, string>)
      .map((pair) => pair.join("="))
      .join(",");
    await mesh.cluster.kubectl(["delete", "pods", "-n", namespace, "-l", selector, "--force", "--wait=true"]);
    const pods = await createPodsOf(mesh.cluster, deployment);
    for (const pod of pods) await setPodReady(mesh.cluster, await bindPod(mesh.cluster, pod, ["10.88.0.9"]));
    await setReadyReplicas(mesh.cluster, deployment, pods.length);
  }

  async function sh(block: string): Promise<string> {
    const { directory, kubeconfig } = mesh.cluster;
    const environment = [`PATH=${directory}:${process.env["PATH"]!}`, `KUBECONFIG=${kubeconfig}`, "NO_COLOR=1"];
    const script = `cd ${directory}; ${block}`;
    const { code, stdout, stderr } = await runProgram("env", [...environment, "bash", "-eo", "pipefail", "-c", script]);
    expect({ block, code, stdout, stderr }).toMatchObject({ code: 0 });
    return stdout;
  }

  /** By section of the guide: what its blocks print. */
  async function follow(guide: Guide, section: string): Promise<string> {
    const blocks = guide.get(section)!.filter((block) => !block.startsWith("kubectl logs"));
    expect(blocks.length).toBeGreaterThan(0);
    const printed: string[] = [];
    for (const block of blocks) printed.push(await sh(block));
    return printed.join("");
  }

  async function sidecarsIn(namespace: string): Promise<readonly boolean[]> {
    const { items } = await mesh.cluster.must("GET", `/api/v1/namespaces/${namespace}/pods`);
    return (items as AnyObject[]).map(({ spec }) =>
      (spec.initContainers ?? []).some(({ name }: AnyObject) => name === "cardea-proxy"),
    );
  }

  async function begin(namespace: string, labels: Record<string, string>, files: readonly string[]): Promise<void> {
    await mesh.cluster.namespace(namespace, labels);
    for (const file of files) await sh(`kubectl apply -n ${namespace} -f ${file}`);
    await sh(`kubectl rollout status deployment -n ${namespace} --timeout 2m`);
  }

  const otherMesh = (name: string): Promise<void> =>
    mesh.cluster.apply([
      {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "MutatingWebhookConfiguration",
        metadata: { name },
        webhooks: [],
      },
    ]);

  test("from Istio: Bookinfo, there and back", async () => {
    const guide = readGuide("migrate-from-istio");
    await mesh.cluster.apply(kindsOfIstio((await mesh.command("install", "--crds", "all")).stdout));
    await otherMesh("istio-sidecar-injector");
    const file = join(bookinfo!, "samples/bookinfo/platform/kube/bookinfo.yaml");
    await begin("bookinfo", { "istio-injection": "enabled" }, [file]);
    expect(await follow(guide, "1. Look")).toContain("Istio is in this cluster");
    await follow(guide, "2. Install beside Istio");
    expect(await sidecarsIn("bookinfo")).toEqual(Array.from({ length: 6 }, () => false));
    const moved = await follow(guide, "3. Move the namespace");
    expect(moved).toContain("0 errors");
    expect(await sidecarsIn("bookinfo")).toEqual(Array.from({ length: 6 }, () => true));
    expect(await follow(guide, "4. Grant what would be denied")).toContain("details created");
    await follow(guide, "5. Enforce");
    const kinds = await sh("kubectl get crd -l app.kubernetes.io/part-of=cardea -o name");
    expect(kinds).not.toContain("istio");
    await follow(guide, "Back");
    await sh("kubectl rollout status deployment -n bookinfo --timeout 2m");
    expect(await sidecarsIn("bookinfo")).toEqual(Array.from({ length: 6 }, () => false));
  });

  test("from Linkerd: emojivoto, there and back", async () => {
    const guide = readGuide("migrate-from-linkerd");
    await otherMesh("linkerd-proxy-injector-webhook-config");
    const files = ["emoji", "voting", "web", "vote-bot"].map((name) =>
      join(emojivoto!, `kustomize/deployment/${name}.yml`),
    );
    await begin("emojivoto", {}, files);
    await sh("kubectl annotate namespace emojivoto linkerd.io/inject=enabled");
    expect(await follow(guide, "1. Look")).toContain("Linkerd is in this cluster");
    await follow(guide, "2. Install beside Linkerd");
    expect(await follow(guide, "3. Move the namespace")).toContain("0 errors");
    expect(await sidecarsIn("emojivoto")).toEqual([true, true, true, true]);
    expect(await follow(guide, "4. Grant what would be denied")).toContain("voting created");
    await follow(guide, "5. Enforce");
    await follow(guide, "Back");
    await sh("kubectl rollout status deployment -n emojivoto --timeout 2m");
    expect(await sidecarsIn("emojivoto")).toEqual([false, false, false, false]);
  });
});

/** Blocks of commands by the heading above them. */
type Guide = ReadonlyMap<string, readonly string[]>;

function readGuide(name: string): Guide {
  const text = readFileSync(new URL(`../../docs/guides/${name}.md`, import.meta.url), "utf8");
  const sections = text.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => {
      const [heading = ""] = section.split("\n");
      return [heading, [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!)];
    }),
  );
}

/** As Istio itself would have brought them: they do not say that they are ours. */
function kindsOfIstio(manifests: string): readonly object[] {
  const objects = parseAllDocuments(manifests).map((document) => document.toJS());
  return objects
    .filter((each) => each?.kind === "CustomResourceDefinition" && each.spec.group.endsWith("istio.io"))
    .map((each) => ({ ...each, metadata: { name: each.metadata.name } }));
}
