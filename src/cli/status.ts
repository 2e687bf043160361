import type { ControlStatus } from "../control/admin.ts";
import { CardeaError } from "../core/errors.ts";
import { formatFault } from "../core/located.ts";
import { isRunning } from "../io/child-processes.ts";
import { systemClock } from "../io/clock.ts";
import { callHttp } from "../io/http-client.ts";
import { KUBECONFIG_FLAG } from "./cluster-flags.ts";
import type { Command } from "./command.ts";
import { paint, visibleText } from "./flow-text.ts";
import { NAMESPACE_FLAG } from "./installation.ts";
import { readJoinedServices, readRunFile, type RunFile, type RunningService } from "./run-file.ts";
import { SIDECAR_READY_PATH } from "./sidecar-paths.ts";
import { findStateDirectory, type StatePaths } from "./state-dir.ts";

/** Whether the mesh is in sync, and what is wrong when it is not. */
export const command: Command = {
  name: "status",
  summary: "is the mesh in sync: policy revision of each sidecar, certificates, faults of policy files",
  usage: "cardea status [--state DIR] [--json] | --kubernetes [--namespace NAME] [--kubeconfig FILE]",
  example: "cardea status",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "state", value: "DIR", summary: "state directory of the mesh" },
    { name: "json", value: null, summary: "one JSON object" },
    { name: "kubernetes", value: null, summary: "of a cluster; asks pods by way of the API server (pods/proxy)" },
    NAMESPACE_FLAG,
    KUBECONFIG_FLAG,
  ],
  async run(args, terminal) {
    if (args.isSet("kubernetes") || args.isSet("kubeconfig"))
      return (await import("./cluster-status.ts")).runClusterStatus(args, terminal);
    const paths = await findStateDirectory(args.flag("state"), terminal);
    const report = await readMeshReport(paths);
    if (args.isSet("json")) terminal.stdout(JSON.stringify(report));
    else for (const line of formatMeshReport(report, systemClock.wallMs(), terminal.colour)) terminal.stdout(line);
    return report.inSync ? 0 : 1;
  },
};

/** What `cardea status --json` prints. */
export interface MeshReport {
  readonly mesh: string;
  readonly inSync: boolean;
  /** The revision of policies and traffic rules that all sidecars should have in force. */
  readonly revision: string | null;
  readonly policies: { readonly directory: string; readonly count: number; readonly trafficRules: number };
  readonly services: readonly ServiceReport[];
  /** What is wrong, one line each; empty when all is in sync. Faults of files as `file:line:column: field: message`. */
  readonly problems: readonly string[];
}

export interface ServiceReport {
  readonly service: string;
  readonly principal: string;
  /** Its readiness endpoint answers 200. */
  readonly ready: boolean;
  readonly connected: boolean;
  /** The revision that it has in force. */
  readonly revision: string | null;
  readonly certificateNotAfter: string | null;
}

const CALL_TIMEOUT_MS = 2_000;

/** Asks the control plane and every sidecar. Errors: `unreachable` when there is no mesh or no control plane. */
async function readMeshReport(paths: StatePaths): Promise<MeshReport> {
  const run = await readRunFile(paths);
  if (run === null || run.up === null)
    throw new CardeaError("unreachable", `no mesh runs in ${paths.directory}; start it: cardea up`);
  const control = await readControlStatus(run);
  const services = [...run.services, ...(await readJoinedServices(paths))];
  const reports = await Promise.all(services.map((service) => readServiceReport(service, control)));
  const problems = [...control.policies.faults, ...control.registry.faults].map(formatFault);
  for (const report of reports) problems.push(...findProblems(report, control));
  if (!(await isRunning(run.up)))
    problems.push("the `cardea up` that started this mesh is gone: nobody restarts what dies; start it again");
  const { revision, policies } = control;
  return {
    mesh: run.mesh,
    inSync: problems.length === 0,
    revision,
    policies: { directory: policies.directory, count: policies.count, trafficRules: policies.trafficRules },
    services: reports,
    problems,
  };
}

async function readControlStatus(run: RunFile): Promise<ControlStatus> {
  const { body } = await callHttp(run.control.admin, { path: "/status", timeoutMs: CALL_TIMEOUT_MS });
  return JSON.parse(body) as ControlStatus;
}

async function readServiceReport(service: RunningService, control: ControlStatus): Promise<ServiceReport> {
  const known = control.sidecars.filter((sidecar) => sidecar.spiffeId === service.principal);
  // Services may share an account; its own name then tells which is which.
  const sidecar = known.find((each) => each.name === service.name) ?? known[0];
  return {
    service: `${service.namespace}/${service.name}`,
    principal: service.principal,
    ready: await isReady(service),
    connected: sidecar?.connected ?? false,
    revision: sidecar?.ackedRevision ?? null,
    certificateNotAfter: sidecar?.certificateNotAfter ?? null,
  };
}

async function isReady(service: RunningService): Promise<boolean> {
  try {
    const { status } = await callHttp(service.readiness, { path: SIDECAR_READY_PATH, timeoutMs: CALL_TIMEOUT_MS });
    return status === 200;
  } catch {
    return false;
  }
}

function findProblems(report: ServiceReport, control: ControlStatus): readonly string[] {
  const { service, ready, connected, revision, principal } = report;
  if (!ready) return [`${service}: the sidecar is not ready`];
  if (!connected) return [`${service}: the sidecar has no connection to the control plane`];
  const refusal = control.sidecars.find((sidecar) => sidecar.spiffeId === principal)?.refusal ?? null;
  if (refusal !== null) return [`${service}: the sidecar refused an update: ${refusal.error}`];
  if (revision !== control.revision)
    return [`${service}: policy ${revision ?? "none"} is in force, not ${control.revision}`];
  return [];
}

/** Lines for people. */
function formatMeshReport(report: MeshReport, nowMs: number, colour: boolean): readonly string[] {
  const current = report.services.filter((service) => service.revision === report.revision && service.ready);
  const width = Math.max(0, ...report.services.map((service) => service.service.length));
  const { count, trafficRules, directory } = report.policies;
  const rules = trafficRules === 0 ? "" : `, traffic rules: ${trafficRules}`;
  return [
    `mesh ${report.mesh}: ${report.inSync ? paint("in sync", "allowed", colour) : paint("NOT in sync", "denied", colour)}`,
    `policies: ${count}${rules} in ${directory}, revision ${report.revision ?? "none"}, in force at ${current.length} of ${report.services.length} sidecars`,
    ...report.services.map((service) => `  ${service.service.padEnd(width)}  ${formatService(service, nowMs)}`),
    ...report.problems.map((problem) => paint(visibleText(problem), "denied", colour)),
  ];
}

function formatService(service: ServiceReport, nowMs: number): string {
  const state = service.ready ? "ready" : "NOT ready";
  return `${state}  revision ${service.revision ?? "none"}  certificate ${formatLeft(service.certificateNotAfter, nowMs)}`;
}

const MINUTE_MS = 60_000;

function formatLeft(notAfter: string | null, nowMs: number): string {
  if (notAfter === null) return "none";
  const leftMs = Date.parse(notAfter) - nowMs;
  if (leftMs <= 0) return "has ended";
  return leftMs < 2 * MINUTE_MS ? `${Math.floor(leftMs / 1000)} s left` : `${Math.floor(leftMs / MINUTE_MS)} min left`;
}
