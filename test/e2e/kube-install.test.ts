import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { command } from "../../src/cli/install.ts";
import { keptTerminal, runCommand } from "../support/kept-terminal.ts";
import { type AnyObject, type KubeCluster, openKubeCluster, whyNoKube } from "../support/kube-cluster.ts";
import { SYSTEM, until } from "../support/kube-control.ts";

vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(whyNoKube !== null)(`cardea install (skipped where ${whyNoKube ?? "there is no cluster"})`, () => {
  let cluster: KubeCluster;
  beforeAll(async () => {
    cluster = await openKubeCluster();
  }, 120_000);
  afterAll(() => cluster?.close(), 60_000);

  async function manifests(...words: string[]): Promise<string> {
    const terminal = keptTerminal({ env: { KUBECONFIG: cluster.kubeconfig } });
    expect(await runCommand(command, words, terminal), terminal.err.join("\n")).toBe(0);
    expect(terminal.err).toEqual([]);
    return terminal.out.join("\n");
  }

  async function apply(text: string): Promise<string> {
    const { code, stdout, stderr } = await cluster.kubectl(["apply", "-f", "-"], text);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  }

  test("one line installs it, and the same line again changes nothing", async () => {
    const first = await apply(await manifests());
    expect(first).toMatch(/namespace\/cardea-system created/);
    expect(first).toMatch(/authorizationpolicies\.security\.istio\.io created/);
    await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    const again = (await apply(await manifests())).trim().split("\n");
    expect(again.filter((line) => !line.endsWith(" unchanged"))).toEqual([]);
    expect(again.length).toBeGreaterThan(12);
  });

  test("the highly available profile and a revision are taken as well, strictly checked", async () => {
    for (const words of [
      ["--profile", "ha"],
      ["--profile", "ha", "--revision", "canary"],
    ]) {
      const text = await manifests(...words);
      const { code, stderr } = await cluster.kubectl(
        ["apply", "--dry-run=server", "--validate=strict", "-f", "-"],
        text,
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    }
  });

  test.each(["security.istio.io/v1", "cardea.dev/v1"])("all kinds of %s have a structural schema", async (version) => {
    const { items } = await cluster.must("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions");
    const ours = items.filter((crd: AnyObject) => version.startsWith(crd.spec.group));
    expect(ours.length).toBeGreaterThan(0);
    for (const crd of ours) {
      const conditions = crd.status.conditions.map(({ type, status }: AnyObject) => `${type}=${status}`);
      expect([crd.metadata.name, ...conditions]).toEqual(
        expect.arrayContaining([crd.metadata.name, "NamesAccepted=True", "Established=True"]),
      );
      expect(conditions).not.toContain("NonStructuralSchema=True");
    }
  });

  test("the control plane's pods pass the strictest level, which their namespace asks for", async () => {
    const { spec } = await cluster.must("GET", `/apis/apps/v1/namespaces/${SYSTEM}/deployments/cardea-control`);
    const pod = { metadata: { name: "control", labels: spec.template.metadata.labels }, spec: spec.template.spec };
    const at = `/api/v1/namespaces/${SYSTEM}/pods?dryRun=All`;
    expect((await cluster.call("POST", at, pod)).status).toBe(201);
    const [container] = pod.spec.containers;
    const root = { ...pod, spec: { ...pod.spec, containers: [{ ...container, securityContext: { runAsUser: 0 } }] } };
    const refused = await cluster.call("POST", at, root);
    expect([refused.status, refused.body.message]).toEqual([403, expect.stringContaining("restricted")]);
  });

  // Webhooks have nobody behind them here: what is tried is in our own namespace, where they let pass.
  const create = (kind: string, version: string, plural: string, spec: object): Promise<AnyObject> =>
    until(
      () =>
        cluster.call("POST", `/apis/${version}/namespaces/${SYSTEM}/${plural}?dryRun=All`, {
          apiVersion: version,
          kind,
          metadata: { name: "tried" },
          spec,
        }),
      ({ status }) => status !== 404,
    );
  const policy = (spec: object): Promise<AnyObject> =>
    create("AuthorizationPolicy", "security.istio.io/v1", "authorizationpolicies", spec);

  test.each([
    [{ action: "PERMIT" }, "spec.action: Unsupported value"],
    [{ selector: {}, targetRefs: [{}] }, "only one of selector, targetRef and targetRefs"],
    [{ action: "CUSTOM", rules: [{}] }, "a provider goes with the action CUSTOM"],
    [{ provider: { name: "opa" } }, "a provider goes with the action CUSTOM"],
    [{ rules: [{ when: [{ key: "request.headers[a]" }] }] }, "when needs values or notValues"],
    [{ rules: [{ to: [{ operation: { ports: [80] } }] }] }, "must be of type string"],
    [{ rules: {} }, "must be of type array"],
  ])("the API server itself refuses the policy %j", async (spec, why) => {
    const { status, body } = await policy(spec);
    expect([status, body.message]).toEqual([422, expect.stringContaining(why)]);
  });

  test("fields that we do not know are kept, so that the engine sees them and refuses", async () => {
    const spec = { rules: [{ from: [{ source: { principals: ["*"], favourites: ["x"] } }] }], later: { a: 1 } };
    const { status, body } = await policy(spec);
    expect([status, body.spec]).toEqual([201, spec]);
  });

  test.each([
    ["v1", {}],
    ["v1", { action: "DENY", rules: [{ to: [{ operation: { paths: ["/admin/*"] } }] }] }],
    ["v1beta1", { action: "CUSTOM", provider: { name: "opa" }, rules: [{}] }],
  ])("a good policy of %s is taken: %j", async (version, spec) => {
    const made = await create("AuthorizationPolicy", `security.istio.io/${version}`, "authorizationpolicies", spec);
    expect(made.status).toBe(201);
  });

  test.each([
    [{ tests: [] }, "should have at least 1 items"],
    [{ tests: [{ name: "a", from: "x/y", expect: "maybe" }] }, "Unsupported value"],
    [
      { tests: [{ name: "a", from: "x/y", expect: "deny", protocol: "tcp", request: {} }] },
      "a test of tcp has no request",
    ],
    [{ tests: [{ name: "a", from: "x/y", expect: "deny", protocol: "http" }] }, "a test of http needs a request"],
    [{ tests: [{ name: "a", from: "x/y", expect: "deny", policy: "ledger" }] }, "policy is namespace/name"],
  ])("the API server itself refuses the policy test %j", async (spec, why) => {
    const { status, body } = await create("PolicyTest", "cardea.dev/v1", "policytests", spec);
    expect([status, body.message]).toEqual([422, expect.stringContaining(why)]);
  });

  test.each([
    [{}, "needs either never, a list of rules, or unreachable"],
    [{ never: [] }, "should have at least 1 items"],
    [{ to: ["a/b"], unreachable: { from: ["a/b"], to: ["c/d"] } }, "to goes with never"],
    [{ unreachable: { from: ["a/b"] } }, "Required value"],
  ])("the API server itself refuses the invariant %j", async (spec, why) => {
    const { status, body } = await create("Invariant", "cardea.dev/v1", "invariants", spec);
    expect([status, body.message]).toEqual([422, expect.stringContaining(why)]);
  });

  test("the sample policies and their tests are taken as they lie there", async () => {
    for (const namespace of ["shop", "payments", "ledger"]) await cluster.namespace(namespace);
    await cluster.kubectl(["delete", "validatingwebhookconfiguration", "cardea-validator"]);
    const { code, stderr } = await cluster.kubectl(["apply", "--dry-run=server", "-R", "-f", "policies"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("kinds that somebody else has brought are left out", async () => {
    const name = "virtualservices.networking.istio.io";
    await cluster.kubectl(["label", "crd", name, "app.kubernetes.io/part-of-", "--overwrite"]);
    const text = await manifests();
    expect(text).not.toContain(name);
    expect(text).toContain("authorizationpolicies.security.istio.io");
    expect(await manifests("--crds", "all")).toContain(name);
    expect(await manifests("--crds", "none")).not.toContain("name: authorizationpolicies.security.istio.io");
  });
});
