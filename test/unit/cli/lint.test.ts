import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { command } from "../../../src/cli/lint.ts";
import { corpusPath } from "../../support/corpus.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";

const directory = mkdtempSync(join(tmpdir(), "cardea-lint-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(directory, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

async function lint(...words: readonly string[]) {
  const terminal = keptTerminal();
  const code = await runCommand(command, words, terminal);
  return { code, out: terminal.out, err: terminal.err };
}

const TEMPLATE = `
      securityContext: {runAsNonRoot: true}
      containers:
        - name: app
          image: app
          securityContext:
            capabilities:
              add:
                - NET_ADMIN`;

function deployment(kind = "Deployment", apiVersion = "apps/v1"): string {
  return `# a comment
apiVersion: ${apiVersion}
kind: ${kind}
metadata:
  name: ledger
  namespace: shop
spec:
  template:
    metadata:
      labels: {app: ledger}
    spec:${TEMPLATE}
`;
}

function namespace(rest: string): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n${rest}`;
}

describe("cardea lint", () => {
  test("names file, line, column, object, field, reason and remedy, and exits 1", async () => {
    const path = file("deployment.yaml", deployment());
    const { code, out, err } = await lint(path);
    expect(out).toEqual([
      `${path}:19:19: error: capability: Deployment shop/ledger: spec.template.spec.containers[0].securityContext.capabilities.add[0]: NET_ADMIN of the container app: it can rewrite the pod's redirect rules; take it out, and drop ALL`,
    ]);
    expect(err).toEqual([expect.stringMatching(/^1 pod template: 1 error, 0 warnings/)]);
    expect(code).toBe(1);
  });

  test.each([
    ["DaemonSet", "apps/v1"],
    ["StatefulSet", "apps/v1"],
    ["ReplicaSet", "apps/v1"],
    ["ReplicationController", "v1"],
    ["Job", "batch/v1"],
  ])("looks into a %s", async (kind, apiVersion) => {
    expect(await lint(file(`${kind}.yaml`, deployment(kind, apiVersion)))).toMatchObject({ code: 1 });
  });

  test("looks into Pods, CronJobs and Lists, in JSON as well", async () => {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "p" },
      spec: { hostPID: true, containers: [{ name: "a" }] },
    };
    const jobTemplate = { spec: { template: { spec: pod.spec } } };
    const cron = { apiVersion: "batch/v1", kind: "CronJob", metadata: { name: "c" }, spec: { jobTemplate } };
    const list = { apiVersion: "v1", kind: "List", items: [pod, cron] };
    const { out } = await lint("--json", "--errors", file("list.json", JSON.stringify(list)));
    expect(out.map((line) => JSON.parse(line) as object)).toMatchObject([
      { code: "host-pid", object: "Pod default/p", field: "items[0].spec.hostPID", line: 1 },
      { code: "host-pid", object: "CronJob default/c", field: "items[1].spec.jobTemplate.spec.template.spec.hostPID" },
    ]);
  });

  test("heeds what a Namespace of another file allows, and one that is not meshed", async () => {
    const manifests = file("two/app.yaml", deployment());
    const allows = file("two/ns.yaml", namespace("  annotations: {cardea.dev/allowed-bypasses: capability}\n"));
    expect(await lint(manifests, "-f", allows)).toMatchObject({ code: 0, out: [] });
    const outside = file("two/ns.yaml", namespace("  labels: {cardea.dev/inject: disabled}\n"));
    expect(await lint(manifests, "-f", outside)).toMatchObject({ code: 0, out: [] });
    const other = file("two/ns.yaml", namespace("  annotations: {cardea.dev/allowed-bypasses: host-pid}\n"));
    expect(await lint(manifests, "-f", other)).toMatchObject({ code: 1 });
  });

  test("reads a whole directory, and says nothing of what brings no pods", async () => {
    file("dir/service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {}\n");
    file("dir/empty.yaml", "# nothing\n---\n");
    expect(await lint(join(directory, "dir"))).toMatchObject({
      code: 0,
      out: [],
      err: ["0 pod templates: 0 errors, 0 warnings"],
    });
  });

  test.each([
    ["a file that is not there", [join(directory, "absent.yaml")]],
    ["no YAML", [file("bad.yaml", "a: [1")]],
    ["a chart's template", [file("chart.yaml", "name: {{ .Release.Name }}\n")]],
    ["an alias bomb", [file("bomb.yaml", `a: &a [1]\nb: [${"*a,".repeat(200)}]\n`)]],
    ["no file at all", []],
    ["an unknown flag", ["--fix", "x.yaml"]],
  ])("refuses %s with 2", async (_name, words) => {
    expect(await lint(...words)).toMatchObject({ code: 2, out: [] });
  });
});

describe("cardea lint --network-policies", () => {
  const service = `apiVersion: v1
kind: Service
metadata: {name: ledger, namespace: shop}
spec:
  selector: {app: ledger}
  ports: [{port: 80, targetPort: 8080}, {port: 53, protocol: UDP}, {port: 9000}]
---
`;

  test("opens what the sidecar guards and nothing else", async () => {
    const text = deployment().replace(
      "labels:",
      "annotations: {cardea.dev/exclude-inbound-ports: '9000'}\n      labels:",
    );
    const { code, out } = await lint("--network-policies", file("policies.yaml", service + text));
    expect(code).toBe(0);
    expect(out[0]).toMatch(/^# NetworkPolicies that close what a sidecar cannot[\s\S]*They do not close:/);
    const [policy] = parseAllDocuments(out.join("\n")).map((each) => each.toJSON());
    expect(policy).toMatchObject({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "ledger-mesh", namespace: "shop" },
      spec: { podSelector: { matchLabels: { app: "ledger" } }, policyTypes: ["Ingress", "Egress"] },
    });
    // Neither UDP nor the port that the pod keeps from its sidecar.
    expect(policy.spec.ingress).toEqual([
      { ports: [8080, 15008, 15020, 15021].map((port) => ({ protocol: "TCP", port })) },
    ]);
  });

  test("makes none for a pod without labels: it would select all others", async () => {
    const text = deployment().replace("labels: {app: ledger}", "labels: {}");
    const { out } = await lint("--network-policies", file("bare.yaml", text));
    expect(parseAllDocuments(out.join("\n")).every((each) => each.contents === null)).toBe(true);
  });
});

const objects = corpusPath("kubernetes-api-objects/testdata/HEAD");
describe.skipIf(objects === null)("with every field of the API's kinds filled in (skipped without the corpus)", () => {
  test("finds, and does not fail", async () => {
    expect(await lint("--json", objects!)).toMatchObject({ code: 1 });
  });
});

const boutique = corpusPath("online-boutique/release/kubernetes-manifests.yaml");
test.skipIf(boutique === null)("Online Boutique has nothing to find (skipped without the corpus)", async () => {
  expect(readFileSync(boutique!, "utf8")).toContain("kind: Deployment");
  expect(await lint(boutique!)).toMatchObject({ code: 0, out: [] });
});
