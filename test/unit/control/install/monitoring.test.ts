import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { formatPrometheusConfig } from "../../../../src/cli/local/prometheus-files.ts";
import { BOARDS } from "../../../../src/control/install/monitoring/boards.ts";
import { formatBoard } from "../../../../src/control/install/monitoring/board.ts";
import { RULE_GROUPS } from "../../../../src/control/install/monitoring/rules.ts";
import { makeManifests } from "../../../../src/control/install/manifests.ts";
import { DEFAULT_VALUES, joinValues, treeOf } from "../../../../src/control/install/values.ts";
import { CONTROL_METRIC_TABLE } from "../../../../src/control/metric-table.ts";
import { METRIC_TABLE, OVERFLOW_LABEL } from "../../../../src/observe/metric-table.ts";
import { readProjectFile } from "../../house/project-files.ts";

const RULES = RULE_GROUPS.flatMap(({ rules }) => rules);
const ALERTS = RULES.flatMap((rule) => ("alert" in rule ? [rule] : []));
const PANELS = Object.values(BOARDS).flatMap(({ rows }) => rows.flatMap(({ panels }) => panels));

/** What Prometheus adds to every series, or an operator's or `cardea up`'s targets do. */
const OF_TARGETS = ["instance", "job", "namespace", "pod", "app", OVERFLOW_LABEL];
/** A recorded series has the labels that it is summed by. */
const RECORDED = Object.fromEntries(
  RULES.flatMap((rule) => ("record" in rule ? [[rule.record, labelsBy(rule.expr)] as const] : [])),
);

function labelsBy(expr: string): readonly string[] {
  return [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/, ?/));
}

/** Each metric that a query names → its labels; null: we have no such metric. */
function metricsIn(expr: string): readonly (readonly [name: string, labels: readonly string[] | null])[] {
  const names = expr
    .replaceAll(/\{[^}]*\}/g, "")
    .matchAll(/\b(?:istio|cardea|pilot|citadel|process|nodejs)[_:]\w[\w:]*/g);
  return [...names].map(([name]) => [name, labelsOf(name)] as const);
}

function labelsOf(name: string): readonly string[] | null {
  if (Object.hasOwn(RECORDED, name)) return RECORDED[name]!;
  const tables: readonly Readonly<Record<string, { type: string; labels: readonly string[] }>>[] = [
    METRIC_TABLE,
    CONTROL_METRIC_TABLE,
  ];
  const found = tables.flatMap((table) => {
    const own = table[name];
    if (own !== undefined && own.type !== "histogram") return [own.labels];
    const family = table[name.replace(/_(bucket|sum|count)$/, "")];
    return own === undefined && family?.type === "histogram" ? [[...family.labels, "le"]] : [];
  });
  return found.length === 0 ? null : found.flat();
}

/** Labels that a query selects or sums by. */
function labelsIn(expr: string): readonly string[] {
  const selected = [...expr.matchAll(/\{([^}]*)\}/g)].flatMap(([, inner]) =>
    [...inner!.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label!),
  );
  return [...selected, ...labelsBy(expr)];
}

const QUERIES = [...RULES.map(({ expr }) => expr), ...PANELS.flatMap(({ queries }) => queries.map(([expr]) => expr))];

describe("our rules and boards", () => {
  test.each(QUERIES)("name metrics and labels that there are: %s", (expr) => {
    const metrics = metricsIn(expr);
    expect(metrics.length).toBeGreaterThan(0);
    expect(metrics.filter(([, labels]) => labels === null)).toEqual([]);
    const known = new Set([...metrics.flatMap(([, labels]) => labels ?? []), ...OF_TARGETS]);
    expect(labelsIn(expr).filter((label) => !known.has(label))).toEqual([]);
  });

  test("would be told of a metric or a label that is none", () => {
    expect(metricsIn("rate(cardea_nothing_total[5m])")).toEqual([["cardea_nothing_total", null]]);
    expect(metricsIn("istio_requests_total_bucket")[0]![1]).toBeNull();
    expect(labelsIn('sum by (colour) (pilot_xds{taste="sour"})')).toEqual(["taste", "colour"]);
  });

  test("are the files in deploy/", () => {
    expect(parse(readProjectFile("deploy/prometheus/rules.yaml"))).toEqual({ groups: RULE_GROUPS });
    for (const [name, board] of Object.entries(BOARDS))
      expect(readProjectFile(`deploy/grafana/${name}.json`)).toBe(formatBoard(board));
  });

  test("the chart's are those, each on its own switch", () => {
    const namespace = "cardea-system";
    const made = (flat: Readonly<Record<string, boolean | string>>) => {
      const objects = makeManifests({ values: joinValues(DEFAULT_VALUES, treeOf(flat)), namespace });
      return objects as unknown as {
        kind: string;
        metadata: { name: string; labels: Record<string, string> };
        spec: unknown;
        data: Record<string, string>;
      }[];
    };
    const before = made({}).length;
    const rules = made({ "monitoring.rules": true }).find(({ kind }) => kind === "PrometheusRule");
    expect(rules?.spec).toEqual({ groups: RULE_GROUPS });
    expect(rules?.metadata.labels).not.toHaveProperty("release");
    expect(made({ "monitoring.rules": true })).toHaveLength(before + 1);
    const boards = made({ "monitoring.dashboards": true }).find(
      ({ metadata }) => metadata.name === "cardea-dashboards",
    );
    expect(Object.keys(boards?.data ?? {})).toEqual(Object.keys(BOARDS).map((name) => `${name}.json`));
    expect(boards?.metadata.labels).toMatchObject({ grafana_dashboard: "1" });
    const monitors = made({ "monitoring.podMonitors": true, "monitoring.release": "stack" }).filter(
      ({ kind }) => kind === "PodMonitor",
    );
    expect(monitors.map(({ metadata }) => [metadata.name, metadata.labels["release"]])).toEqual([
      ["cardea-control", "stack"],
      ["cardea-sidecars", "stack"],
    ]);
  });

  test("each alert says what is so and what to do, of labels that it has", () => {
    for (const { annotations, expr } of ALERTS) {
      expect(annotations.description.length).toBeGreaterThan(20);
      const used = [...`${annotations.summary} ${annotations.description}`.matchAll(/\$labels\.(\w+)/g)].map(
        ([, label]) => label!,
      );
      const by = labelsBy(expr);
      const has = by.length > 0 ? by : [...OF_TARGETS, ...metricsIn(expr).flatMap(([, labels]) => labels ?? [])];
      expect({ expr, missing: used.filter((label) => !has.includes(label)) }).toEqual({ expr, missing: [] });
    }
  });

  test("each alert is tried by promtool's own tests, in which it fires and keeps still", () => {
    const tests = readProjectFile("deploy/prometheus/rules.test.yaml");
    const patterns = [...tests.matchAll(/alertname(?:=~?"|: |=")([\w|.*]+)/g)].map(
      ([, pattern]) => new RegExp(`^(?:${pattern!})$`),
    );
    for (const { alert } of ALERTS)
      expect({ alert, isTried: patterns.some((pattern) => pattern.test(alert)) }).toEqual({ alert, isTried: true });
  });
});

const hasPromtool = spawnSync("promtool", ["--version"]).error === undefined;
describe.skipIf(!hasPromtool)("promtool (skipped where it is not installed)", () => {
  test.each([
    ["check", "deploy/prometheus/rules.yaml"],
    ["test", "deploy/prometheus/rules.test.yaml"],
  ])("%s rules %s", (command, file) => {
    const { status, stdout, stderr } = spawnSync("promtool", [command, "rules", file], { encoding: "utf8" });
    expect({ status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringContaining("SUCCESS") });
  });

  test("takes the scrape configuration of the guide, and what `cardea up` makes", () => {
    const guide = readProjectFile("docs/guides/prometheus-and-grafana.md");
    const shown = [...guide.matchAll(/```yaml\n(scrape_configs:[\s\S]*?)```/g)].map(([, text]) => text!);
    expect(shown).toHaveLength(1);
    // Debian's Prometheus is built without Kubernetes; the rest of it is held to.
    const known = shown.map((text) =>
      text.replace("kubernetes_sd_configs: [{ role: pod }]", "static_configs: [{ targets: [a] }]"),
    );
    for (const text of [...known, formatPrometheusConfig("/tmp/mesh/prometheus")]) {
      const directory = mkdtempSync(join(tmpdir(), "cardea-promtool-"));
      writeFileSync(join(directory, "prometheus.yaml"), text);
      const { status, stdout, stderr } = spawnSync("promtool", ["check", "config", "prometheus.yaml"], {
        cwd: directory,
        encoding: "utf8",
      });
      rmSync(directory, { recursive: true });
      expect({ status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringContaining("SUCCESS") });
    }
  });
});

test("the guide names each alert, and no others", () => {
  const guide = readProjectFile("docs/guides/prometheus-and-grafana.md");
  const named = new Set([...guide.matchAll(/`(Cardea[A-Z]\w+)`/g)].map(([, name]) => name));
  expect(named).toEqual(new Set(ALERTS.map(({ alert }) => alert)));
});
