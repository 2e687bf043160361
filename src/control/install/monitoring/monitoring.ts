import { SIDECAR_METRICS_PORT } from "../../inject/sidecar-container.ts";
import { CONTROL, LABELS, SELECTOR, withRevision } from "../names.ts";
import { isSet, namespace, type Template, type TemplateMap, value, when } from "../template.ts";
import { formatBoard } from "./board.ts";
import { BOARDS } from "./boards.ts";
import { RULE_GROUPS } from "./rules.ts";

/** What Prometheus' operator and Grafana find by themselves, each on its own switch: their kinds may not be there. */
export function monitoring(): readonly Template[] {
  const monitors = "monitoring.podMonitors";
  return [
    when(isSet(monitors), podMonitor(CONTROL, { matchNames: [namespace] }, SELECTOR, "http-metrics")),
    when(isSet(monitors), podMonitor(withRevision("cardea-sidecars"), { any: true }, {}, SIDECAR_METRICS_PORT)),
    when(isSet("monitoring.rules"), {
      apiVersion: MONITORING,
      kind: "PrometheusRule",
      metadata: metadata(CONTROL),
      spec: { groups: groups() },
    }),
    when(isSet("monitoring.dashboards"), {
      apiVersion: "v1",
      kind: "ConfigMap",
      // By this label Grafana's sidecar container finds dashboards.
      metadata: { ...metadata(withRevision("cardea-dashboards")), labels: { ...labels(), grafana_dashboard: "1" } },
      data: Object.fromEntries(Object.entries(BOARDS).map(([name, board]) => [`${name}.json`, formatBoard(board)])),
    }),
  ];
}

const MONITORING = "monitoring.coreos.com/v1";

/** One for all pods whose container has a port of this name. */
function podMonitor(name: Template, where: TemplateMap, pods: TemplateMap, port: string): TemplateMap {
  return {
    apiVersion: MONITORING,
    kind: "PodMonitor",
    metadata: metadata(name),
    spec: {
      namespaceSelector: where,
      selector: Object.keys(pods).length === 0 ? {} : { matchLabels: pods },
      podMetricsEndpoints: [{ port, path: "/metrics" }],
    },
  };
}

function metadata(name: Template): TemplateMap {
  return { name, namespace, labels: labels() };
}

function labels(): TemplateMap {
  return { ...LABELS, release: when(isSet("monitoring.release"), value("monitoring.release")) };
}

/** The rules as the template has them: literals all through. */
function groups(): readonly TemplateMap[] {
  return RULE_GROUPS.map(({ name, rules }) => ({ name, rules: rules.map((rule) => ({ ...rule })) }));
}
