import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { whyNoContainers } from "../support/container.ts";
import { corpusPath } from "../support/corpus.ts";
import { type InstalledMesh, type MeshedPod, openInstalledMesh, type Replica } from "../support/installed-mesh.ts";
import { type AnyObject, whyNoKube } from "../support/kube-cluster.ts";
import { createPods, podOfDeployment, publishEndpoints } from "../support/kube-controllers.ts";
import { SYSTEM, until } from "../support/kube-control.ts";
import { APP_UID, SIDECAR_UID } from "../support/pod-network.ts";
import { runProgram } from "../support/programs.ts";

// From nothing to a mesh and back, as a person does it: the installation as it is printed, two replicas of its Deployment,
// two applications as they are published. Every pod goes by the webhooks of the installation; three of them run.

const hasNft = process.getuid?.() === 0 && (await runProgram("unshare", ["--net", "nft", "list", "tables"])).code === 0;
const bookinfo = corpusPath("bookinfo");
const boutique = corpusPath("online-boutique");
const why =
  whyNoKube ??
  whyNoContainers ??
  (hasNft ? null : "needs nft") ??
  (bookinfo === null || boutique === null ? "the corpus is not beside the repository" : null);

vi.setConfig({ testTimeout: 120_000 });

describe.skipIf(why !== null)(`a mesh as a person installs it${why === null ? "" : ` (${why})`}`, () => {
  let mesh: InstalledMesh;
  let replicas: readonly Replica[];
  const pods: Record<string, readonly AnyObject[]> = {};
  const running: Record<string, MeshedPod> = {};

  beforeAll(async () => {
    mesh = await openInstalledMesh();
  }, 120_000);
  afterAll(() => mesh?.close(), 60_000);

  async function kubectl(args: readonly string[], input = ""): Promise<string> {
    const { code, stdout, stderr } = await mesh.cluster.kubectl(args, input);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  }

  const apply = (text: string) => mesh.cluster.kubectl(["apply", "-f", "-"], text);

  const service = (namespace: string, name: string): Promise<AnyObject> =>
    mesh.cluster.must("GET", `/api/v1/namespaces/${namespace}/services/${name}`);

  /** Asks for a book's details, and waits for the record that the called sidecar makes of it. */
  async function details(from: string): Promise<{ readonly status: number; readonly flow: AnyObject }> {
    const { spec } = await service("bookinfo", "details");
    const called = running["details"]!.running;
    const before = called.lines().length;
    const url = `http://${spec.clusterIP as string}:9080/details/0`;
    const format = ["-o", "/dev/null", "-w", "%{http_code}"];
    const { stdout } = await running[from]!.network.run(APP_UID, "curl", "-sg", "-m", "8", ...format, url);
    const line = await vi.waitFor(() => present(called.lines()[before]), { timeout: 10_000 });
    return { status: Number(stdout), flow: JSON.parse(line) };
  }

  async function leaderOf(): Promise<Replica | undefined> {
    const lease = await mesh.cluster.must(
      "GET",
      `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/cardea-control`,
    );
    return replicas.find(({ object }) => isHeldBy(lease.spec.holderIdentity, object));
  }

  test("the doctor finds nothing in the way, and one line installs it", async () => {
    const before = await mesh.command("doctor");
    expect(before).toMatchObject({ code: 0, stdout: expect.stringContaining("is not installed") });
    const { code, stdout, stderr } = await mesh.command("install", "--set", "control.replicas=2");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    await kubectl(["apply", "-f", "-"], stdout);
    replicas = await mesh.startReplicas();
    expect(replicas).toHaveLength(2);
    const { code: after, stdout: told } = await until(
      () => mesh.command("doctor"),
      (now) => now.code === 0,
    );
    expect({ after, told }).toEqual({ after: 0, told: expect.stringContaining("2 of 2 replicas are ready") });
  });

  describe("applications as they are published", () => {
    test.each([
      ["bookinfo", join(bookinfo ?? "", "samples/bookinfo/platform/kube/bookinfo.yaml"), 6],
      ["boutique", join(boutique ?? "", "release/kubernetes-manifests.yaml"), 12],
    ])("every pod of %s comes out of the API server with its sidecar", async (namespace, file, count) => {
      await mesh.cluster.namespace(namespace);
      await kubectl(["label", "namespace", namespace, "cardea.dev/inject=enabled"]);
      await kubectl(["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=privileged"]);
      await kubectl(["apply", "-n", namespace, "-f", file]);
      const made = await createPods(mesh.cluster, namespace);
      pods[namespace] = made;
      expect(made).toHaveLength(count);
      for (const pod of made) {
        const [first, second] = pod.spec.initContainers.slice(0, 2) as AnyObject[];
        expect([first.name, second.name, second.restartPolicy]).toEqual(["cardea-redirect", "cardea-proxy", "Always"]);
        expect(pod.metadata.annotations["cardea.dev/status"]).toBeDefined();
        // What came out, sent again: nothing is left to be injected.
        const { metadata, spec } = pod;
        const again = { metadata: { generateName: metadata.generateName, ...pick(metadata) }, spec };
        const at = `/api/v1/namespaces/${namespace}/pods?dryRun=All&fieldValidation=Strict`;
        expect((await mesh.cluster.must("POST", at, again)).spec).toEqual(spec);
      }
    });

    test.each(["baseline", "restricted"])("Pod Security %s refuses them, and the doctor says so", async (level) => {
      const warned = await mesh.cluster.kubectl(["label", ...LEVEL_OF, `${LEVEL}=${level}`]);
      expect(warned.stderr).toMatch(/and 5 other pods\): .*capabilities/);
      const { items } = await mesh.cluster.must("GET", "/apis/apps/v1/namespaces/bookinfo/deployments");
      const refused = await mesh.cluster.call("POST", "/api/v1/namespaces/bookinfo/pods", podOfDeployment(items[0]));
      expect([refused.status, refused.body.message]).toEqual([403, expect.stringContaining("NET_ADMIN")]);
      const told = await mesh.command("doctor");
      expect([told.code, told.stdout]).toEqual([1, expect.stringMatching(new RegExp(`bookinfo enforces ${level}`))]);
      await kubectl(["label", ...LEVEL_OF, `${LEVEL}=privileged`]);
    });
  });

  describe("pods that run", () => {
    beforeAll(async () => {
      for (const [name, namespace, app, port] of RUN) {
        const pod = pods[namespace]!.find(({ metadata }) => metadata.labels.app === app)!;
        running[name] = await mesh.startPod(pod, port);
        await publishEndpoints(mesh.cluster, await service(namespace, app), [running[name].object]);
      }
    }, 180_000);

    test("a request without a policy is denied", async () => {
      const source = { principal: "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage" };
      expect(await details("productpage")).toMatchObject({ status: 403, flow: { verdict: "denied", source } });
    });

    test("a denial is in the store of the replica that its sidecar tells", async () => {
      const { flow } = await details("productpage");
      expect(flow["verdict"]).toBe("denied");
      await vi.waitFor(async () => {
        const found = await Promise.all(replicas.map(({ network }) => storedFlow(network, flow["id"] as string)));
        expect(found.join("")).toContain(flow["id"]);
      }, 30_000);
    });

    test("a policy by kubectl changes the revision at the sidecar, and decides", async () => {
      const { revision } = (await details("productpage")).flow;
      const made = await apply(policy("productpage-viewer", "bookinfo/sa/bookinfo-productpage"));
      expect(made).toMatchObject({
        code: 0,
        stderr: expect.stringContaining("selects 1 workload: bookinfo/details-v1"),
      });
      const { flow } = await until(
        () => details("productpage"),
        ({ status }) => status === 200,
      );
      const policyOf = expect.stringContaining("productpage-viewer") as string;
      expect(flow).toMatchObject({ verdict: "allowed", policy: policyOf });
      expect(flow.revision).not.toBe(revision);
      const source = { principal: "spiffe://cluster.local/ns/boutique/sa/frontend" };
      expect(await details("frontend")).toMatchObject({ status: 403, flow: { source } });
    });

    test("a bad policy is refused in the words of policy check, and nothing changes", async () => {
      const { revision } = (await details("productpage")).flow;
      const { code, stderr } = await apply(policy("bad", "bookinfo/sa/x").replace("methods", "methdos"));
      expect([code, stderr]).toEqual([1, expect.stringMatching(/admission webhook "[a-z.]*cardea\.dev" denied/)]);
      expect(stderr).toContain("spec.rules[0].to[0].operation.methdos");
      expect(await details("productpage")).toMatchObject({ status: 200, flow: { revision } });
    });

    test("the status says what is in force where", async () => {
      const { stdout, code } = await until(
        () => mesh.command("status", "--kubernetes"),
        (now) => now.code === 0,
      );
      expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("in force at 3 of 3 sidecars") });
      expect(stdout.match(/ {2}leads/g)).toHaveLength(1);
    });

    test("the leader is killed: the other takes over, and sidecars go on", async () => {
      const leader = await until(leaderOf, (found) => found !== undefined);
      await mesh.killReplica(leader!);
      replicas = replicas.filter((each) => each !== leader);
      await until(leaderOf, (found) => found !== undefined);
      const { stdout } = await until(
        () => mesh.command("status", "--kubernetes", "--json"),
        (now) => now.code === 0 && JSON.parse(now.stdout).replicas[0].connected === RUN.length,
      );
      expect(JSON.parse(stdout)).toMatchObject({ inSync: true, replicas: [{ leads: true }] });
      expect(await apply(policy("frontend-viewer", "boutique/sa/frontend"))).toMatchObject({ code: 0 });
      await until(
        () => details("frontend"),
        ({ status }) => status === 200,
      );
      const { stdout: told } = await mesh.command("doctor");
      expect(told).toContain("1 of 2 replicas are ready");
      expect(told).toContain(`held by ${replicas[0]!.object.metadata.name as string}`);
    });

    test("a pod that starts after it is certified by the one that is left", async () => {
      const pod = pods["bookinfo"]!.find(({ metadata }) => metadata.labels.app === "ratings")!;
      running["ratings"] = await mesh.startPod(pod, 9_080);
      const source = { principal: "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-ratings" };
      expect(await details("ratings")).toMatchObject({ status: 403, flow: { source } });
    });
  });

  test("it is removed, and nothing of it is left", async () => {
    for (const namespace of ["bookinfo", "boutique"]) {
      await kubectl(["label", "namespace", namespace, "cardea.dev/inject-"]);
      const forced = ["--all", "--grace-period=0", "--force", "--wait=false"];
      expect(await mesh.cluster.kubectl(["delete", "pods", "-n", namespace, ...forced])).toMatchObject({ code: 0 });
    }
    const listed = await until(
      () => mesh.command("uninstall", "--crds"),
      ({ stderr }) => !stderr.includes("have a sidecar"),
    );
    expect(listed).toMatchObject({ code: 0, stderr: expect.stringContaining("nothing was removed") });
    const removed = await mesh.command("uninstall", "--crds", "--yes");
    expect({ code: removed.code, stderr: removed.stderr }).toEqual({ code: 0, stderr: "" });
    const names = await kubectl(["api-resources", "--verbs=list", "-o", "name"]);
    const kinds = names
      .trim()
      .split("\n")
      .filter((kind) => !/^(events|componentstatuses|endpoints$)/.test(kind));
    const left = await kubectl(["get", kinds.join(","), "-A", "--ignore-not-found", "-o", "name"]);
    // Controllers, which a cluster has and this one has not, would end the namespace and what Deployments made.
    const ours = left
      .trim()
      .split("\n")
      .filter((each) => /cardea|istio/.test(each));
    expect(ours.filter((each) => !/^(namespace\/cardea-system|endpointslice|replicaset|pod)/.test(each))).toEqual([]);
  });
});

const LEVEL = "pod-security.kubernetes.io/enforce";
const LEVEL_OF = ["namespace", "bookinfo", "--overwrite"] as const;

/** Pods that run, with their namespace, their `app` and its HTTP port. */
const RUN = [
  ["productpage", "bookinfo", "productpage", 9_080],
  ["details", "bookinfo", "details", 9_080],
  ["frontend", "boutique", "frontend", 8_080],
] as const;

function isHeldBy(holder: string, { metadata }: AnyObject): boolean {
  return holder.startsWith(metadata.name as string);
}

function present(line: string | undefined): string {
  if (line === undefined) throw new Error("there is no record yet");
  return line;
}

function pick({ labels, annotations }: AnyObject): object {
  return { labels, annotations };
}

function policy(name: string, principal: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: bookinfo }
spec:
  selector: { matchLabels: { app: details } }
  action: ALLOW
  rules:
    - from: [{ source: { principals: ["cluster.local/ns/${principal}"] } }]
      to: [{ operation: { methods: [GET] } }]
`;
}

/** As the admin port answers, which is on loopback. */
async function storedFlow(at: Replica["network"], id: string): Promise<string> {
  return (await at.run(SIDECAR_UID, "curl", "-s", "-m", "8", `http://127.0.0.1:15000/flow?id=${id}`)).stdout;
}
