import type { JsonObject } from "../../../core/json-value.ts";

/** A Grafana dashboard: rows of panels, two or three side by side. */
export interface Board {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly rows: readonly Row[];
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Panel {
  readonly title: string;
  /** One sentence. */
  readonly about: string;
  readonly kind: "timeseries" | "stat" | "table";
  /** Grafana's word: reqps, s, ms, percentunit, Bps, bytes, short. */
  readonly unit: string;
  /** A query and what its lines are called (`{{label}}`). */
  readonly queries: readonly (readonly [expr: string, legend: string])[];
  readonly hasExemplars?: boolean;
}

/** `namespace` and `service` choose what is called, as their boxes at the head of the page; all at first. */
const VARIABLES = [
  ["namespace", "label_values(istio_requests_total, destination_workload_namespace)"],
  ["service", `label_values(istio_requests_total{destination_workload_namespace=~"$namespace"}, destination_service)`],
] as const;

const WIDTH = 24;
const HEIGHT = 8;
const SOURCE = { type: "prometheus", uid: "${datasource}" };

/** As Grafana reads it, from its version 10 on. */
export function formatBoard({ uid, title, description, rows }: Board): string {
  let y = 0;
  let id = 0;
  const panels: JsonObject[] = [];
  for (const row of rows) {
    panels.push({
      id: ++id,
      type: "row",
      title: row.title,
      collapsed: false,
      gridPos: place(0, y, WIDTH, 1),
      panels: [],
    });
    y += 1;
    const width = WIDTH / row.panels.length;
    for (const [index, panel] of row.panels.entries())
      panels.push({ id: ++id, ...panelOf(panel), gridPos: place(index * width, y, width, HEIGHT) });
    y += HEIGHT;
  }
  const board = {
    uid,
    title,
    description,
    tags: ["cardea"],
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    schemaVersion: 39,
    time: { from: "now-1h", to: "now" },
    templating: { list: [dataSource(), ...VARIABLES.map(([name, query]) => variable(name, query))] },
    panels,
  };
  return `${JSON.stringify(board, null, 2)}\n`;
}

function panelOf({ title, about, kind, unit, queries, hasExemplars = false }: Panel): JsonObject {
  return {
    type: kind,
    title,
    description: about,
    datasource: SOURCE,
    fieldConfig: { defaults: { unit }, overrides: [] },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(0x41 + index),
      datasource: SOURCE,
      expr,
      legendFormat,
      ...(hasExemplars ? { exemplar: true } : {}),
      ...(kind === "timeseries" ? { range: true } : { instant: true }),
      ...(kind === "table" ? { format: "table" } : {}),
    })),
  };
}

function dataSource(): JsonObject {
  return { name: "datasource", label: "Prometheus", type: "datasource", query: "prometheus" };
}

function variable(name: string, query: string): JsonObject {
  return {
    name,
    type: "query",
    datasource: SOURCE,
    query,
    refresh: 2,
    includeAll: true,
    multi: true,
    allValue: ".*",
    current: { text: "All", value: "$__all" },
    sort: 1,
  };
}

function place(x: number, y: number, w: number, h: number): JsonObject {
  return { x, y, w, h };
}
