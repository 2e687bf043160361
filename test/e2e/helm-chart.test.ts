import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { command } from "../../src/cli/install.ts";
import { keptTerminal, runCommand } from "../support/kept-terminal.ts";
import { runProgram } from "../support/programs.ts";
import { ROOT } from "../unit/house/project-files.ts";

const helm = process.env["HELM"];
const why = helm === undefined ? "HELM names no helm" : null;
let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), "cardea-chart-"))));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Loose {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
}

/** Objects by kind and name; documents within ConfigMaps are compared as what they say, not as they are laid out. */
function objectsIn(text: string): Record<string, unknown> {
  const objects = parseAllDocuments(text).flatMap((each) => (each.toJS() as Loose | null) ?? []);
  return Object.fromEntries(
    objects.map((object) => {
      const data =
        object.data && Object.fromEntries(Object.entries(object.data).map(([key, inner]) => [key, said(inner)]));
      return [`${object.kind} ${object.metadata.name}`, data === undefined ? object : { ...object, data }];
    }),
  );
}

function said(text: string): unknown {
  return parseAllDocuments(text)[0]!.toJS();
}

async function installed(words: readonly string[]): Promise<Record<string, unknown>> {
  const terminal = keptTerminal();
  expect(await runCommand(command, ["--crds", "all", ...words], terminal), terminal.err.join("\n")).toBe(0);
  const { "Namespace mesh-system": namespace, ...others } = objectsIn(terminal.out.join("\n"));
  // Helm makes it itself.
  expect(namespace).toBeDefined();
  return others;
}

/** A helm that was not built by its own Makefile takes every cluster for one of 1.20. */
const FOR = ["--kube-version", "1.34.0"];

function templated(words: readonly string[]): Record<string, unknown> {
  const chart = join(ROOT, "deploy/chart");
  const args = ["template", "cardea", chart, ...FOR, "--namespace", "mesh-system", "--include-crds", ...words];
  return objectsIn(execFileSync(helm!, args, { encoding: "utf8", maxBuffer: 16 * 1024 * 1024 }));
}

const VALUES = `
image: registry.example/team/cardea@sha256:0123
imagePullSecrets: [{ name: registry }]
mesh:
  trustDomain: shop.example
  trustDomainAliases: [old.example, "older.example"]
  enforcement: AUDIT
control:
  replicas: 2
  nodeSelector: { "kubernetes.io/os": linux, weight: "<5&6>" }
  tolerations: [{ key: control, operator: Exists, effect: NoSchedule, tolerationSeconds: 30 }]
  disruptionBudget: true
injection:
  sidecar: container
  excludedNamespaces: []
  proxyResources: { limits: { memory: 2Gi } }
monitoring: { podMonitors: true, rules: true, dashboards: true, release: stack }
`;

describe.skipIf(why !== null)(`the chart and cardea install (skipped where ${why ?? "there is no helm"})`, () => {
  const profile = join(ROOT, "deploy/chart/values-ha.yaml");
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["by default", [], []],
    ["highly available", ["--profile", "ha"], ["-f", profile]],
    ["a revision", ["--revision", "canary"], ["--set", "revision=canary"]],
    [
      "a revision that is the default, highly available",
      ["--profile", "ha", "--revision", "v2", "--set", "defaultRevision=true"],
      ["-f", profile, "--set", "revision=v2,defaultRevision=true"],
    ],
  ];
  test.each(cases)("say the same %s", async (_, ours, theirs) => {
    const wanted = await installed(["--namespace", "mesh-system", ...ours]);
    expect(Object.keys(wanted).length).toBeGreaterThan(10);
    expect(templated(theirs)).toEqual(wanted);
  });

  test("say the same by a file of values, whatever is in it", async () => {
    const file = join(directory, "values.yaml");
    writeFileSync(file, VALUES);
    expect(templated(["-f", file])).toEqual(await installed(["--namespace", "mesh-system", "-f", file]));
  });

  test.each([
    ["control.replica=3"],
    ["control.replicas=0"],
    ["image=a b"],
    ["revision=Canary"],
    ["defaultRevision=true"],
    ["mesh.enforcement=OFF"],
    ["control.spread=perhaps"],
    ["injection.proxyResources.limits.memory=lots"],
  ])("refuse %s, both", async (set) => {
    const words = ["template", "cardea", join(ROOT, "deploy/chart"), ...FOR, "--set", set];
    expect((await runProgram(helm!, words)).stderr).toContain("values don't meet the specifications of the schema");
    expect(await runCommand(command, ["--set", set], keptTerminal())).toBe(2);
  });

  test("helm finds no fault with the chart", async () => {
    const linted = await runProgram(helm!, ["lint", "--strict", join(ROOT, "deploy/chart")]);
    expect(linted).toMatchObject({ code: 0 });
  });
});
