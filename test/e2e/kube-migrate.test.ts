import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseAllDocuments } from "yaml";
import { whyNoContainers } from "../support/container.ts";
import { corpusPath } from "../support/corpus.ts";
import { type FollowedMesh, openFollowedMesh } from "../support/followed-mesh.ts";
import { readGuide } from "../support/guide.ts";
import { whyNoKube } from "../support/kube-cluster.ts";
import { until } from "../support/kube-control.ts";
import { APP_UID } from "../support/pod-network.ts";
import { runProgram } from "../support/programs.ts";

// The guides to move from another mesh, followed to the letter: each block of commands is given to a shell, while the pods of
// the namespace run, as do their sidecars and the control plane.

const bookinfo = corpusPath("bookinfo");
const emojivoto = corpusPath("emojivoto");
const noCorpus = bookinfo === null || emojivoto === null ? "the corpus is not beside the repository" : null;
const hasNft = process.getuid?.() === 0 && (await runProgram("unshare", ["--net", "nft", "list", "tables"])).code === 0;
const why = whyNoKube ?? whyNoContainers ?? (hasNft ? null : "needs nft") ?? noCorpus;

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

describe.skipIf(why !== null)(`a namespace moves${why === null ? "" : ` (${why})`}`, () => {
  let followed: FollowedMesh;
  beforeEach(async () => {
    followed = await openFollowedMesh({ running: ["bookinfo", "emojivoto"] });
  });
  afterEach(() => followed.close());

  const follow = (guide: string, section: string): Promise<string> => followed.follow(readGuide(guide), section);

  /** The status that a Deployment's app gets from a service. */
  async function call(namespace: string, from: string, [service, port, path]: readonly [string, number, string]) {
    const { spec } = await followed.mesh.cluster.must("GET", `/api/v1/namespaces/${namespace}/services/${service}`);
    const url = `http://${spec.clusterIP as string}:${port}${path}`;
    const { network } = followed.podOf(namespace, from);
    return Number(
      (await network.run(APP_UID, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "5", url)).stdout,
    );
  }

  const detailsBy = (from: string) => () => call("bookinfo", from, ["details", 9_080, "/details/0"]);
  const emojiBy = (from: string) => () => call("emojivoto", from, ["emoji-svc", 8_801, "/"]);

  async function begin(namespace: string, labels: Record<string, string>, files: readonly string[]): Promise<void> {
    await followed.mesh.cluster.namespace(namespace, labels);
    for (const file of files) await followed.sh(`kubectl apply -n ${namespace} -f ${file}`);
    await followed.sh(`kubectl rollout status deployment -n ${namespace} --timeout 2m`);
  }

  const otherMesh = (name: string): Promise<void> =>
    followed.mesh.cluster.apply([
      {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "MutatingWebhookConfiguration",
        metadata: { name },
        webhooks: [],
      },
    ]);

  test("from Istio: Bookinfo, there and back", async () => {
    const guide = "migrate-from-istio";
    await followed.mesh.cluster.apply(kindsOfIstio((await followed.mesh.command("install", "--crds", "all")).stdout));
    await otherMesh("istio-sidecar-injector");
    const file = join(bookinfo!, "samples/bookinfo/platform/kube/bookinfo.yaml");
    await begin("bookinfo", { "istio-injection": "enabled" }, [file]);
    expect(await follow(guide, "1. Look")).toContain("Istio is in this cluster");
    await follow(guide, "2. Install beside Istio");
    expect(await followed.sidecarsIn("bookinfo")).toEqual(Array.from({ length: 6 }, () => false));
    const moved = await follow(guide, "3. Move the namespace");
    expect(moved).toContain("0 errors");
    expect(await followed.sidecarsIn("bookinfo")).toEqual(Array.from({ length: 6 }, () => true));
    await until(detailsBy("productpage-v1"), (status) => status === 200);
    const granted = await follow(guide, "4. Grant what would be denied");
    expect(granted).toContain('"would-deny"');
    expect(granted).toContain("details created");
    await follow(guide, "5. Enforce");
    await until(detailsBy("ratings-v1"), (status) => status === 403);
    await until(detailsBy("productpage-v1"), (status) => status === 200);
    const kinds = await followed.sh("kubectl get crd -l app.kubernetes.io/part-of=cardea -o name");
    expect(kinds).not.toContain("istio");
    await follow(guide, "Back");
    await followed.sh("kubectl rollout status deployment -n bookinfo --timeout 2m");
    expect(await followed.sidecarsIn("bookinfo")).toEqual(Array.from({ length: 6 }, () => false));
  });

  test("from Linkerd: emojivoto, there and back", async () => {
    const guide = "migrate-from-linkerd";
    await otherMesh("linkerd-proxy-injector-webhook-config");
    const files = ["emoji", "voting", "web", "vote-bot"].map((name) =>
      join(emojivoto!, `kustomize/deployment/${name}.yml`),
    );
    await begin("emojivoto", {}, files);
    await followed.sh("kubectl annotate namespace emojivoto linkerd.io/inject=enabled");
    expect(await follow(guide, "1. Look")).toContain("Linkerd is in this cluster");
    await follow(guide, "2. Install beside Linkerd");
    expect(await follow(guide, "3. Move the namespace")).toContain("0 errors");
    expect(await followed.sidecarsIn("emojivoto")).toEqual([true, true, true, true]);
    await until(emojiBy("web"), (status) => status === 200);
    const granted = await follow(guide, "4. Grant what would be denied");
    expect(granted).toContain('"would-deny"');
    expect(granted).toContain("voting created");
    await follow(guide, "5. Enforce");
    await until(emojiBy("voting"), (status) => status === 403);
    await until(emojiBy("web"), (status) => status === 200);
    await follow(guide, "Back");
    await followed.sh("kubectl rollout status deployment -n emojivoto --timeout 2m");
    expect(await followed.sidecarsIn("emojivoto")).toEqual([false, false, false, false]);
  });
});

/** As Istio itself would have brought them: they do not say that they are ours. */
function kindsOfIstio(manifests: string): readonly object[] {
  const objects = parseAllDocuments(manifests).map((document) => document.toJS());
  return objects
    .filter((each) => each?.kind === "CustomResourceDefinition" && each.spec.group.endsWith("istio.io"))
    .map((each) => ({ ...each, metadata: { name: each.metadata.name } }));
}
