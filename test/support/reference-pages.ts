import type { Command } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { formatCommandHelp } from "../../src/cli/help.ts";
import { POD_PORTS } from "../../src/core/pod-ports.ts";
import { controlPortsOf, DEFAULT_PORT_BASE, layOutPorts } from "../../src/cli/local/port-layout.ts";
import { BYPASS_TABLE } from "../../src/control/bypass/bypass-table.ts";
import { CONTROL_METRIC_TABLE, CONVERGENCE_BUCKETS } from "../../src/control/metric-table.ts";
import { ERROR_TABLE } from "../../src/core/errors.ts";
import { TRACE_LIMIT_TABLE } from "../../src/core/trace-limits.ts";
import { FLOW_LIMIT_TABLE } from "../../src/core/flow-limits.ts";
import { LIMIT_TABLE } from "../../src/core/limits.ts";
import { FLOW_FIELDS } from "../../src/observe/flow.ts";
import { BUCKETS, LAG_BUCKETS, METRIC_TABLE, OVERFLOW_LABEL, PAIR_LABELS } from "../../src/observe/metric-table.ts";
import { policyFindingsPage } from "./policy-findings-page.ts";
import { annotationsPage } from "./annotations-page.ts";
import { doctorPage, valuesPage } from "./install-pages.ts";
import { page, table } from "./markdown-page.ts";
import { authenticationFieldsPage } from "./authentication-page.ts";
import { meshFilePage, policyFieldsPage } from "./schema-pages.ts";
import { trafficFieldsPage } from "./traffic-page.ts";

/** Every generated page: its path from the repository's root → its text. `npm run reference` writes them. */
export async function makeReferencePages(): Promise<ReadonlyMap<string, string>> {
  const commands = await Promise.all(COMMANDS.map((entry) => entry.load()));
  const pages: readonly (readonly [string, string])[] = [
    ["errors", errorsPage()],
    ["limits", limitsPage()],
    ["metrics", metricsPage()],
    ["flow-fields", flowFieldsPage()],
    ["mesh-file", meshFilePage()],
    ["policy-fields", policyFieldsPage()],
    ["authentication-fields", authenticationFieldsPage()],
    ["traffic-fields", trafficFieldsPage()],
    ["ports", portsPage()],
    ["bypass-findings", bypassFindingsPage()],
    ["policy-findings", policyFindingsPage()],
    ["commands", commandsPage(commands)],
    ["annotations", annotationsPage()],
    ["values", valuesPage()],
    ["doctor", doctorPage()],
  ];
  return new Map(pages.map(([name, text]) => [`docs/reference/${name}.md`, text]));
}

function errorsPage(): string {
  const rows = Object.entries(ERROR_TABLE).map(([code, entry]) => [
    `\`${code}\``,
    entry.meaning,
    String(entry.httpStatus),
    String(entry.grpcStatus),
    entry.side,
    entry.close,
    entry.flag,
    entry.logLevel,
  ]);
  const intro = [
    "Every failure has one of these codes; the code decides the behaviour. `HTTP` and `gRPC` are the statuses that the",
    "caller gets where there is an exchange to answer. `side` says on whose side it went wrong, `then` what happens to",
    "the caller's connection, `flag` is the metrics' `response_flags` label.",
  ];
  return page("Errors", "src/core/errors.ts", intro, [
    table(["code", "meaning", "HTTP", "gRPC", "side", "then", "flag", "log level"], rows),
  ]);
}

function limitsPage(): string {
  const rows = Object.entries({ ...LIMIT_TABLE, ...FLOW_LIMIT_TABLE, ...TRACE_LIMIT_TABLE }).map(([name, limit]) => [
    `\`${name}\``,
    limit.value.toLocaleString("en-US"),
    limit.unit,
    limit.why,
  ]);
  const intro = ["Everything that can grow has a bound. They are constants of the program, not settings."];
  return page("Limits", "src/core/limits.ts", intro, [table(["limit", "value", "unit", "why"], rows)]);
}

function metricsPage(): string {
  const rows = Object.entries(METRIC_TABLE).map(([name, metric]) => [
    `\`${name}\``,
    metric.type,
    labelsText(metric.labels),
    metric.by,
    metric.means,
  ]);
  const intro = [
    "A sidecar serves them at `/metrics` and `/stats/prometheus` of its metrics port, the control plane at `/metrics` of",
    "its admin port: as OpenMetrics 1.0 to who asks for it, as Prometheus does, else in Prometheus' text format 0.0.4. The",
    "names, labels and buckets of `istio_*` are Istio's; `pilot_*`, `citadel_*`, `galley_*` and `sidecar_injection_*` are",
    "istiod's. In OpenMetrics the buckets of durations have exemplars, with the `trace_id` of a sampled request.",
    "",
    "A label set that has not moved for `metricSeriesIdleMs` and was told since is forgotten, and begins again at zero, which",
    "`rate()` takes for a restart. At `metricSeriesMax` label sets the rest is counted in series with",
    `\`${OVERFLOW_LABEL}="true"\`, their other labels "unknown"; see [limits](limits.md).`,
  ];
  return page("Metrics", "src/observe/metric-table.ts and src/control/metric-table.ts", intro, [
    table(["metric", "type", "labels", "served by", "meaning"], rows),
    `*The pair*: ${PAIR_LABELS.map((label) => `\`${label}\``).join(", ")}.`,
    `Buckets of all these histograms: ${BUCKETS.join(", ")}; of \`cardea_event_loop_lag_seconds\`: ${LAG_BUCKETS.join(", ")}.`,
    ...controlMetrics(),
  ]);
}

function controlMetrics(): readonly string[] {
  const rows = Object.entries(CONTROL_METRIC_TABLE).map(([name, { type, labels, means }]) => [
    `\`${name}\``,
    type,
    labelsText(labels),
    means,
  ]);
  return [
    "## The control plane",
    table(["metric", "type", "labels", "meaning"], rows),
    `Buckets of \`pilot_proxy_convergence_time\`: ${CONVERGENCE_BUCKETS.join(", ")}.`,
    [
      "Besides them prom-client's metrics of the process: `process_*` and `nodejs_*`. Counters under Istio's names that do",
      "not end in `_total` are told as `untyped` (OpenMetrics: `unknown`): Prometheus' rules know no counter of such a name,",
      "`promtool check metrics` would object, and OpenMetrics has none.",
    ].join("\n"),
  ];
}

/** The labels of a pair of workloads are listed once, below the table. */
function labelsText(labels: readonly string[]): string {
  const hasPair = PAIR_LABELS.every((label) => labels.includes(label));
  const others = hasPair ? labels.filter((label) => !PAIR_LABELS.some((each) => each === label)) : labels;
  return [...(hasPair ? ["*the pair*"] : []), ...others.map((label) => `\`${label}\``)].join(", ");
}

function flowFieldsPage(): string {
  const rows = Object.entries(FLOW_FIELDS).map(([name, field]) => [
    `\`${name === "timeMs" ? "time" : name}\``,
    field.type === "timeMs" ? "RFC 3339 text, UTC" : field.type,
    field.isNullable ? "may be absent" : "always",
    field.filledBy === "both" ? "both sidecars" : `the ${field.filledBy}'s sidecar`,
    `\`${field.otel}\``,
    field.means,
  ]);
  const intro = [
    "A flow record is one request, or one opaque connection, as one sidecar saw it: one JSON object a line. A name with",
    'a dot is nested (`source.ip` is `{"source":{"ip":…}}`). The OpenTelemetry names are those that an OTLP export',
    "will use; only the JSON lines exist so far.",
  ];
  return page("Flow fields", "src/observe/flow.ts", intro, [
    table(["field", "type", "", "known to", "OpenTelemetry", "meaning"], rows),
  ]);
}

function bypassFindingsPage(): string {
  const rows = Object.entries(BYPASS_TABLE).map(([code, { severity, why, mend }]) => [
    `\`${code}\``,
    severity,
    why,
    mend,
  ]);
  const intro = [
    "Ways around the mesh that a pod can have. `cardea lint` finds them in manifests, the validating webhook in pods that",
    "have been through all other webhooks. In a namespace with the label `cardea.dev/bypass-checks: enforce` a pod with an",
    "error is refused; with `audit`, which is the default, all is told as warnings and written into the audit log of the",
    "API server. Whoever administers a namespace allows single kinds by its annotation",
    "`cardea.dev/allowed-bypasses: host-port,datagram-port`.",
  ];
  return page("Ways around the mesh", "src/control/bypass/bypass-table.ts", intro, [
    table(["code", "severity", "what it lets happen", "how to mend it"], rows),
  ]);
}

function portsPage(): string {
  const control = controlPortsOf(DEFAULT_PORT_BASE);
  const service = { ports: [{ port: 1, protocol: "HTTP" as const }], upstreams: [UPSTREAM] };
  const [first, second] = [0, 1].map((index) => layOutPorts(DEFAULT_PORT_BASE, index, service));
  const rows = PORT_MEANINGS.map(([name, meaning]) => [meaning, String(first![name]), String(second![name])]);
  const intro = [
    "Where a local mesh's ports are when nobody is in the way; a default that is taken is stepped around, and said. All of",
    "them are on 127.0.0.1. The last two digits are the ones that Istio's users know.",
  ];
  const both = [
    ["control plane: certificates and discovery (gRPC)", String(control.grpc)],
    ["control plane: status, metrics and readiness", String(control.admin)],
    ["control plane: flow records of sidecars (OTLP logs over gRPC)", String(control.flows)],
    ["control plane: the map, for a browser", String(control.map)],
  ];
  const inPod = Object.entries(POD_PORTS).map(([name, port]) => [
    POD_PORT_MEANINGS[name as keyof typeof POD_PORTS],
    String(port),
  ]);
  return page("Ports", "src/cli/local/port-layout.ts and src/core/pod-ports.ts", intro, [
    table(["", "port"], both),
    table(["of each service, in the order of the mesh file", "first service", "second service"], rows),
    "In a pod each sidecar has the same ones. Those that are not reached from outside are captured like an app's, and refused.",
    table(["in a pod", "port"], inPod),
  ]);
}

const POD_PORT_MEANINGS: Readonly<Record<keyof typeof POD_PORTS, string>> = {
  admin: "admin; loopback only",
  outbound: "what the app dials, redirected; nothing else is taken",
  forwardProxy: "forward proxy for apps that know of one; loopback only",
  inbound: "what comes to the app's ports, redirected; nothing else is taken",
  hbone: "HBONE from other sidecars; reached from outside",
  metrics: "Prometheus metrics, and the app's probes; reached from outside",
  readiness: "readiness; reached from outside",
};

const UPSTREAM = { name: "u", service: "u", port: 1, localPort: null };

const PORT_MEANINGS = [
  ["admin", "sidecar: admin"],
  ["outbound", "sidecar: where the app sends its requests (forward proxy)"],
  ["inbound", "sidecar: mutual TLS from other sidecars; one for each declared port, counting up around the next"],
  ["hbone", "sidecar: HBONE from other sidecars, where it has a port that is not declared to carry requests"],
  ["metrics", "sidecar: Prometheus metrics"],
  ["readiness", "sidecar: readiness"],
  ["upstreams", "sidecar: fixed local ports of its upstreams, counting up"],
  ["app", "app: where it listens (PORT); one for each declared port, counting up"],
] as const;

function commandsPage(commands: readonly Command[]): string {
  const overview = commands.map((command) => [
    `[\`cardea ${command.name}\`](#cardea-${anchor(command.name)})`,
    command.summary,
  ]);
  const intro = [
    "Exit codes: 0 good; 1 it ran and found something (a denial, a failing test); 2 bad usage or input; 3 could not reach",
    "something. `--json` prints one object a line on stdout; everything else goes to stderr.",
    "",
    "In a checkout: `npx cardea …`, or `npm run -s cardea -- …`.",
  ];
  const sections = commands.map(
    (command) => `## cardea ${command.name}\n\n\`\`\`text\n${formatCommandHelp(command)}\n\`\`\``,
  );
  return page("Commands", "src/cli/", intro, [table(["command", "does"], overview), ...sections]);
}

function anchor(heading: string): string {
  return heading.toLowerCase().replaceAll(" ", "-");
}
