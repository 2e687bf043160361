import { join } from "node:path";
import type { ControlConfig } from "../../config/control-config.ts";
import type { Mesh } from "../../config/mesh.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import { atomicWrite, listFiles, makeDirectory, removeFile } from "../../io/files.ts";
import type { StatePaths } from "../state-dir.ts";
import { fileNameOf, type LocalPlan, type ServicePlan } from "./plan.ts";
import { formatControlTarget, formatPrometheusConfig, formatSidecarTarget } from "./prometheus-files.ts";
import { formatRegistryDocument } from "./registry-document.ts";

/** Makes the directories of a mesh's state, closed to others. Errors: `bad-input`. */
export async function makeStateDirectories(paths: StatePaths): Promise<void> {
  const {
    directory,
    ca,
    join: tokens,
    registry,
    flows,
    log,
    revisions,
    proxies,
    joined,
    sockets,
    prometheusTargets,
  } = paths;
  await makeDirectory(directory);
  const all = [ca, tokens, registry, flows, log, revisions, proxies, joined, sockets, prometheusTargets];
  await Promise.all(all.map((each) => makeDirectory(each)));
}

/** Writes what the processes will read. What an earlier mesh of other services left in the registry goes. */
export async function writeMeshState(
  plan: LocalPlan,
  mesh: Mesh,
  policiesDirectory: string,
  paths: StatePaths,
): Promise<void> {
  await removeStale(plan, paths);
  const control: ControlConfig = {
    name: mesh.name,
    stateDir: paths.directory,
    policiesDir: policiesDirectory,
    policiesGit: mesh.policiesGit,
    mesh: mesh.settings,
    listen: plan.control.address,
    admin: plan.control.admin,
    jwks: mesh.jwks,
    logLevel: "info",
    flows: plan.control.flows && {
      listen: plan.control.flows,
      retentionMs: FLOW_LIMITS.flowStoreRetentionMs,
      bytesMax: FLOW_LIMITS.flowStoreBytesMax,
    },
    hubble: plan.control.hubble && { listen: plan.control.hubble, dnsNames: [] },
    traces: mesh.tracing?.endpoint ?? null,
    map: plan.control.map && { listen: plan.control.map, tls: null, readers: [] },
  };
  await atomicWrite(paths.controlFile, `${JSON.stringify(control, null, 2)}\n`, 0o600);
  await atomicWrite(paths.prometheusFile, formatPrometheusConfig(paths.prometheusTargets), 0o600);
  await atomicWrite(controlTargetOf(paths), formatControlTarget(plan.control.admin), 0o600);
  await Promise.all(plan.services.map((service) => writeServiceState(service, paths)));
}

/** One service's place in the registry, and its sidecar's bootstrap. */
export async function writeServiceState(plan: ServicePlan, paths: StatePaths): Promise<void> {
  const name = fileNameOf(plan.service);
  await atomicWrite(join(paths.proxies, `${name}.json`), `${JSON.stringify(plan.config, null, 2)}\n`, 0o600);
  await atomicWrite(join(paths.registry, `${name}.json`), formatRegistryDocument(plan.config), 0o600);
  await atomicWrite(join(paths.prometheusTargets, `${name}.json`), formatSidecarTarget(plan.config), 0o600);
}

/** No service is called so: each has its namespace before its name. */
function controlTargetOf(paths: StatePaths): string {
  return join(paths.prometheusTargets, "control.json");
}

/** Takes a service out of the registry again, and its files away. */
export async function removeServiceState(plan: ServicePlan, paths: StatePaths): Promise<void> {
  const name = fileNameOf(plan.service);
  const files = [
    join(paths.registry, `${name}.json`),
    join(paths.proxies, `${name}.json`),
    join(paths.proxies, `${name}.token`),
    join(paths.joined, `${name}.json`),
    join(paths.prometheusTargets, `${name}.json`),
  ];
  await Promise.all(files.map((file) => removeFile(file)));
}

/** What `cardea run` has brought in stays: its files are in `joined`, too. */
async function removeStale(plan: LocalPlan, paths: StatePaths): Promise<void> {
  const names = plan.services.map((service) => `${fileNameOf(service.service)}.json`);
  const kept = new Set([...names, ...(await listFiles(paths.joined))]);
  const stale = (await listFiles(paths.registry)).filter((name) => !kept.has(name));
  await Promise.all(
    stale.flatMap((name) => [paths.registry, paths.prometheusTargets].map((from) => removeFile(join(from, name)))),
  );
}
