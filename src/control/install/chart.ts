import { formatYaml } from "../../config/yaml-write.ts";
import type { JsonObject, JsonValue } from "../../core/json-value.ts";
import { chartSchema } from "./chart-schema.ts";
import { INSTALL_NAMESPACE } from "./install-namespace.ts";
import { ISTIO_CRDS } from "./istio-crds.ts";
import { MANIFESTS, makeManifests, namespaceManifest } from "./manifests.ts";
import { formatBoard } from "./monitoring/board.ts";
import { BOARDS } from "./monitoring/boards.ts";
import { RULE_GROUPS } from "./monitoring/rules.ts";
import { OWN_CRDS } from "./own-crds.ts";
import { DEFAULT_VALUES, HA_PROFILE, joinValues, treeOf, VALUE_TABLE } from "./values.ts";
import { writeHelm } from "./write-helm.ts";

/** Said at the head of each file that a person might edit. */
const MADE = ["Made from src/control/install/ by `npm run reference`; a test compares. Edits here are lost."];

/** The Helm chart: paths from deploy/chart/ → texts. */
export function makeChart(version: string): ReadonlyMap<string, string> {
  const templates = Object.entries(MANIFESTS).map(
    ([name, manifests]) => [`templates/${name}.yaml`, writeHelm(manifests, MADE)] as const,
  );
  return new Map([
    ["Chart.yaml", formatYaml([about(version)], MADE)],
    ["values.yaml", valuesText()],
    ["values-ha.yaml", formatYaml([treeOf(HA_PROFILE)], [...MADE, "helm install … -f values-ha.yaml"])],
    ["values.schema.json", `${JSON.stringify(chartSchema(), null, 2)}\n`],
    ["crds/cardea.yaml", formatYaml(OWN_CRDS, MADE)],
    // Helm leaves a CRD that is there alone, as it should with Istio's own.
    ["crds/istio.yaml", formatYaml(ISTIO_CRDS, MADE)],
    ...templates,
  ]);
}

/** `cardea install`'s output for those who keep manifests in git: paths from deploy/manifests/ → texts. */
export function makeRenderedManifests(): ReadonlyMap<string, string> {
  return new Map([
    ["cardea.yaml", formatYaml(rendered(DEFAULT_VALUES), MADE)],
    ["cardea-ha.yaml", formatYaml(rendered(joinValues(DEFAULT_VALUES, treeOf(HA_PROFILE))), MADE)],
    [
      "istio-crds.yaml",
      formatYaml(ISTIO_CRDS, [...MADE, "For clusters without Istio; where Istio is, its own are right."]),
    ],
  ]);
}

/** For who runs Prometheus and Grafana without an operator: paths from deploy/ → texts. */
export function makeMonitoringFiles(): ReadonlyMap<string, string> {
  const boards = Object.entries(BOARDS).map(([name, board]) => [`grafana/${name}.json`, formatBoard(board)] as const);
  return new Map([["prometheus/rules.yaml", formatYaml([{ groups: RULE_GROUPS }], MADE)], ...boards]);
}

function rendered(values: JsonObject): readonly object[] {
  return [
    namespaceManifest(INSTALL_NAMESPACE),
    ...OWN_CRDS,
    ...makeManifests({ values, namespace: INSTALL_NAMESPACE }),
  ];
}

function about(version: string): object {
  return {
    apiVersion: "v2",
    name: "cardea",
    description: "A zero-trust service mesh: SPIFFE identities, mutual TLS, per-service authorization, flow logs",
    type: "application",
    version,
    appVersion: version,
    // CRDs have rules (CEL) from 1.25 on.
    kubeVersion: ">=1.25.0-0",
  };
}

/** The defaults, each under its meaning. */
function valuesText(): string {
  const lines: string[] = MADE.map((line) => `# ${line}`);
  let open: readonly string[] = [];
  for (const [path, { default: whenAbsent, means, type }] of Object.entries(VALUE_TABLE)) {
    const keys = path.split(".");
    const groups = keys.slice(0, -1);
    const shared = groups.findIndex((key, index) => open[index] !== key);
    const from = shared < 0 ? groups.length : shared;
    for (let depth = from; depth < groups.length; depth++)
      lines.push(...blank(depth), `${indent(depth)}${groups[depth]!}:`);
    open = groups;
    lines.push(`${indent(groups.length)}# ${means} (${type.takes})`);
    lines.push(`${indent(groups.length)}${keys.at(-1)!}: ${flow(whenAbsent)}`);
  }
  return `${lines.join("\n")}\n`;
}

function indent(depth: number): string {
  return "  ".repeat(depth);
}

function blank(depth: number): readonly string[] {
  return depth === 0 ? [""] : [];
}

function flow(found: JsonValue): string {
  return JSON.stringify(found);
}
