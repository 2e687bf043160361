import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { injectManifests } from "../../../../src/control/inject/inject-manifest.ts";
import { DEFAULT_INJECT_SETTINGS } from "../../../../src/control/inject/settings.ts";
import { formatFault, type Fault } from "../../../../src/core/located.ts";

function inject(...texts: readonly string[]) {
  const faults: Fault[] = [];
  const manifests = texts.map((text, index) => ({ file: `${index}.yaml`, text }));
  const result = injectManifests(manifests, { settings: DEFAULT_INJECT_SETTINGS, namespace: "default" }, faults);
  return {
    texts: result.manifests.map(({ text }) => text),
    said: result.outcomes.map(({ template, injection }) => {
      const why = injection.kind === "inject" ? "" : `: ${injection.why}`;
      return `${template.kind} ${template.namespace}/${template.name} ${injection.kind}${why}`;
    }),
    faults: faults.map(formatFault),
  };
}

const TEMPLATE = "metadata: {labels: {app: web}}\n    spec: {containers: [{name: web}]}";

function workload(kind: string, apiVersion: string, extra = ""): string {
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: web, namespace: shop}\nspec:\n  template:\n    ${TEMPLATE}\n${extra}`;
}

const CRON_JOB = `apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: web}]}
`;
const POD = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: web-}\nspec: {containers: [{name: web}]}\n";

describe("kinds", () => {
  test.each<[string, string]>([
    ["Deployment shop/web inject", workload("Deployment", "apps/v1")],
    ["StatefulSet shop/web inject", workload("StatefulSet", "apps/v1")],
    ["DaemonSet shop/web inject", workload("DaemonSet", "apps/v1")],
    ["ReplicaSet shop/web inject", workload("ReplicaSet", "apps/v1")],
    ["ReplicationController shop/web inject", workload("ReplicationController", "v1")],
    ["Job shop/web inject", workload("Job", "batch/v1")],
    ["CronJob default/nightly inject", CRON_JOB],
    ["Pod default/web- inject", POD],
  ])("%s", (said, text) => {
    expect(inject(text).said).toEqual([said]);
    expect(inject(text).texts[0]).toContain("cardea-proxy");
  });

  test.each([
    "# nothing but a comment\n",
    "",
    "---\n---\n",
    "just: a\nmap:   here # as it is\n",
    "- a\n-  list\n",
    workload("Deployment", "example.org/v1"),
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {}\n",
    "apiVersion: v1\nkind: Service\nmetadata: {name:   x}\nspec: {}\n...\n# end",
  ])("%j brings no pods, and comes out octet for octet", (text) => {
    const { texts, said, faults } = inject(text);
    expect([texts, said, faults]).toEqual([[text], [], []]);
  });
});

test("beside an injected document, the others stay octet for octet", () => {
  const service = "# a\napiVersion:   v1\nkind: Service # odd   spaces\nspec:   {a: [ 1,2 ]}\n\n\n";
  const { texts } = inject(`${service}---\n${POD}---\n${service}`);
  expect(texts[0]!.startsWith(`${service}---\n`)).toBe(true);
  expect(texts[0]!.endsWith(`---\n${service}`)).toBe(true);
});

test("the items of a List are injected, each for itself", () => {
  const list = JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: [parse(workload("Job", "batch/v1")), parse(POD), { kind: "Service" }, null],
  });
  const { texts, said } = inject(list);
  expect(said).toEqual(["Job shop/web inject", "Pod default/web- inject"]);
  expect((JSON.parse(texts[0]!) as { items: object[] }).items).toHaveLength(4);
});

test("JSON stays JSON, with its own indentation", () => {
  const { texts } = inject(JSON.stringify(parse(POD), null, "\t"));
  expect(texts[0]).toMatch(/^\{\n\t"apiVersion"/);
  expect(JSON.parse(texts[0]!)).toMatchObject({ kind: "Pod" });
});

test("a Namespace of any file speaks for its pods", () => {
  const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {cardea.dev/inject: disabled}}\n";
  const { texts, said } = inject(workload("Deployment", "apps/v1"), namespace);
  expect(said).toEqual(["Deployment shop/web leave: the namespace shop opts out by cardea.dev/inject"]);
  expect(texts[0]).toBe(workload("Deployment", "apps/v1"));
});

test("a template's own word stands above it", () => {
  const text = workload("Deployment", "apps/v1").replace("app: web", 'sidecar.istio.io/inject: "false"');
  expect(inject(text).said).toEqual(["Deployment shop/web leave: the pod opts out by sidecar.istio.io/inject"]);
});

test("words that YAML 1.1 would take for numbers and switches are put in quotes", () => {
  const text = POD.replace("{generateName: web-}", '{name: web, annotations: {cardea.dev/opaque-ports: "3306"}}');
  expect(inject(text).texts[0]).toMatch(/CARDEA_OPAQUE_PORTS[, \n]+value: "3306"/);
});

describe("refused, with the place:", () => {
  test.each<[string, string, string]>([
    ["broken YAML", "a: [1\n", "0.yaml:2:1: not valid YAML"],
    ["a field twice", "a: 1\na: 2\n", "0.yaml:2:1: not valid YAML: Map keys must be unique"],
    [
      "aliases without end",
      `a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [${"*a,".repeat(10)}]\nc: &c [${"*b,".repeat(10)}]\nd: [${"*c,".repeat(10)}]\n`,
      "0.yaml: not valid YAML: Excessive alias count",
    ],
    [
      "a template behind an alias",
      `x: &t {spec: {containers: [{name: web}]}}\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: *t}\n`,
      "is the alias *t; write its value out",
    ],
    [
      "a template with an anchor",
      `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: &t {spec: {containers: [{name: web}]}}}\n`,
      "has the anchor &t, and a change would reach its aliases",
    ],
    [
      "a template that is merged in",
      `x: &t {template: {spec: {containers: [{name: web}]}}}\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {<<: *t}\n`,
      "comes by a merge key (<<); write its fields out",
    ],
  ])("%s", (_, text, fault) => {
    expect(inject(text).faults.join("\n")).toContain(fault);
  });
});
