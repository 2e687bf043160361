import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { command as install } from "../../src/cli/install.ts";
import { command as uninstall } from "../../src/cli/uninstall.ts";
import type { Command } from "../../src/cli/command.ts";
import { admissionReview } from "../support/admission-review.ts";
import { type RunningCardea, startCardea } from "../support/cardea.ts";
import { keptTerminal, runCommand } from "../support/kept-terminal.ts";
import { type AnyObject, type KubeCluster, openKubeCluster, whyNoKube } from "../support/kube-cluster.ts";
import { SYSTEM, until } from "../support/kube-control.ts";

vi.setConfig({ testTimeout: 120_000 });

interface Ready {
  readonly webhooks: { readonly port: number };
}

/** Beside what the installation says. */
const ON_FREE_PORTS = ["listen", "admin", "telemetry", "webhooks"]
  .map((key) => `${key}: {host: 127.0.0.1, port: 0}\n`)
  .join("");

/** In a pod it is a volume, and a port of the pod's own. */
const FLOW_STORE = /^flows:\n +directory: .*\n/m;

// From nothing to a mesh with two revisions, and back to nothing. There are no kubelets: the control planes are processes
// of this machine, with the configuration and under the account that the installation has made.
describe.skipIf(whyNoKube !== null)(`an installation's life (skipped where ${whyNoKube ?? "absent"})`, () => {
  let cluster: KubeCluster;
  let before: readonly string[];
  const running = new Map<string, { readonly process: RunningCardea; readonly ready: Ready }>();
  const agent = new Agent({ connect: { rejectUnauthorized: false } });

  beforeAll(async () => {
    cluster = await openKubeCluster();
    await cluster.namespace("shop", { "cardea.dev/inject": "enabled" });
    await cluster.namespace("tried", { "cardea.dev/rev": "canary" });
    before = await everything();
  }, 120_000);
  afterAll(async () => {
    for (const { process } of running.values()) process.child.kill("SIGKILL");
    await agent.destroy();
    await cluster?.close();
  }, 60_000);

  async function run(command: Command, ...words: string[]) {
    const terminal = keptTerminal({ env: { KUBECONFIG: cluster.kubeconfig } });
    const code = await runCommand(command, words, terminal);
    return { code, out: terminal.out.join("\n"), err: terminal.err.join("\n") };
  }

  async function apply(...words: string[]): Promise<void> {
    const { code, out, err } = await run(install, ...words);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const applied = await cluster.kubectl(["apply", "-f", "-"], out);
    expect(applied).toMatchObject({ code: 0, stderr: "" });
  }

  /** Every object of every kind that can be listed, but for what the API server itself makes. */
  async function everything(): Promise<readonly string[]> {
    const { stdout } = await cluster.kubectl(["api-resources", "--verbs=list", "-o", "name"]);
    const kinds = stdout
      .trim()
      .split("\n")
      .filter((kind) => !/^(events|componentstatuses|endpoints$)/.test(kind));
    const args = ["get", kinds.join(","), "-A", "--ignore-not-found", "--show-kind", "--no-headers"];
    const listed = await cluster.kubectl([
      ...args,
      "-o",
      "custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name",
    ]);
    expect(listed.stderr).toBe("");
    return listed.stdout
      .trim()
      .split("\n")
      .map((line) => line.replaceAll(/\s+/g, " ").trim())
      .filter((line) => !/^(APIService|Lease (?:kube|<)|IPAddress|ServiceCIDR|FlowSchema|PriorityLevel)/.test(line))
      .toSorted();
  }

  /** Runs what a Deployment would: its ConfigMap, its account. */
  async function start(name: string): Promise<Ready> {
    const { data } = await cluster.must("GET", `/api/v1/namespaces/${SYSTEM}/configmaps/${name}`);
    const config = join(cluster.directory, `${name}.yaml`);
    const told: string = data["control.yaml"];
    const flows = `flows:\n  listen: {host: 127.0.0.1, port: 0}\n  directory: ${join(cluster.directory, `flows-${name}`)}\n`;
    expect(told).toMatch(FLOW_STORE);
    writeFileSync(config, told.replace(FLOW_STORE, flows) + ON_FREE_PORTS);
    const kubeconfig = cluster.kubeconfigOf(await cluster.token(SYSTEM, name));
    const words = ["control", "--kubernetes", "--config", config, "--kubeconfig", kubeconfig];
    const process = startCardea(words, { env: { CARDEA_POD_NAME: name, CARDEA_POD_NAMESPACE: SYSTEM } });
    const { value, done } = await process.lines.next();
    if (done === true) throw new Error(`it ended: ${(await process.finished).stderr}`);
    const ready = JSON.parse(value) as Ready;
    running.set(name, { process, ready });
    return ready;
  }

  async function stop(name: string): Promise<void> {
    const { process } = running.get(name)!;
    process.child.kill("SIGTERM");
    await process.finished;
    running.delete(name);
  }

  async function imageGivenBy({ webhooks }: Ready, namespace: string): Promise<string> {
    const pod = { metadata: { name: "app", namespace }, spec: { containers: [{ name: "app", image: "app" }] } };
    const answer = await request(`https://127.0.0.1:${webhooks.port}/inject`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(admissionReview({ namespace, object: pod })),
      dispatcher: agent,
    });
    const { response } = (await answer.body.json()) as AnyObject;
    const patch = Buffer.from(response.patch ?? "", "base64").toString("utf8");
    return /"image":"([^"]*cardea[^"]*)"/.exec(patch)?.[1] ?? JSON.stringify(response);
  }

  const bundleOf = (name: string) => async (): Promise<string> => {
    const at = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${name}`;
    return (await cluster.must("GET", at)).webhooks[0].clientConfig.caBundle ?? "";
  };

  test("it comes up from its own manifests, and settings that change are heeded without a restart", async () => {
    await apply("--set", "image=registry.example/cardea:1");
    const ready = await start("cardea-control");
    await until(bundleOf("cardea-injector"), (bundle) => bundle !== "");
    expect(await imageGivenBy(ready, "shop")).toBe("registry.example/cardea:1");
    await apply("--set", "image=registry.example/cardea:2");
    await until(
      () => imageGivenBy(ready, "shop"),
      (image) => image === "registry.example/cardea:2",
    );
  });

  test("a revision runs beside it, with the same roots and webhooks of its own", async () => {
    await apply("--revision", "canary", "--set", "image=registry.example/cardea:3");
    const ready = await start("cardea-control-canary");
    const [bundle] = await Promise.all([
      until(bundleOf("cardea-injector-canary"), (found) => found !== ""),
      until(bundleOf("cardea-injector"), (found) => found !== ""),
    ]);
    expect(await bundleOf("cardea-injector")()).toBe(bundle);
    expect(await imageGivenBy(ready, "tried")).toBe("registry.example/cardea:3");
    expect(await imageGivenBy(running.get("cardea-control")!.ready, "shop")).toBe("registry.example/cardea:2");
  });

  test("the old one goes without taking away what the revision needs", async () => {
    await apply("--revision", "canary", "--set", "image=registry.example/cardea:3", "--set", "defaultRevision=true");
    await stop("cardea-control");
    const told = await run(uninstall);
    expect(told).toMatchObject({ code: 0, err: expect.stringContaining("nothing was removed") });
    const { code, out } = await run(uninstall, "--yes");
    expect([code, out]).toEqual([0, told.out]);
    expect(out).toContain("Deployment cardea-system/cardea-control");
    expect(out).not.toMatch(/WebhookConfiguration|Secret|Namespace|ConfigMap .*root|CustomResource/);
    const left = await everything();
    expect(left).toEqual(
      expect.arrayContaining([
        "MutatingWebhookConfiguration <none> cardea-injector",
        "MutatingWebhookConfiguration <none> cardea-injector-canary",
        "Secret cardea-system cardea-ca",
        "ConfigMap shop cardea-root-cert",
      ]),
    );
    expect(left.filter((line) => line.endsWith("cardea-control"))).toEqual([]);
  });

  test("the last one goes while its control plane still runs, and nothing is left", async () => {
    const { code, out, err } = await run(uninstall, "--revision", "canary", "--crds", "--yes", "--json");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out.split("\n")[0]!)).toMatchObject({ kind: "ValidatingAdmissionPolicyBinding" });
    await stop("cardea-control-canary");
    // Controllers, which a cluster has and this one has not, would end the namespace.
    const after = (await everything()).filter((line) => line !== "Namespace <none> cardea-system");
    expect(after).toEqual(before);
    const { metadata } = await cluster.must("GET", `/api/v1/namespaces/${SYSTEM}`);
    expect(metadata.deletionTimestamp).toBeDefined();
    expect((await run(uninstall, "--revision", "canary", "--crds", "--yes")).out).toBe("");
  });
});
