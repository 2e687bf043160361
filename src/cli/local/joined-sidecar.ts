import { join } from "node:path";
import type { MeshService } from "../../config/mesh.ts";
import { CardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { isRunning, type ProcessName, readOwnName } from "../../io/child-processes.ts";
import { removeFile } from "../../io/files.ts";
import { isPortFree } from "../../io/ports-probe.ts";
import { readJoinedServices, readRunFile, type RunFile, type RunningService, writeJoinedService } from "../run-file.ts";
import type { StatePaths } from "../state-dir.ts";
import { endLeftovers, findOrphans } from "./leftovers.ts";
import { describeService } from "./local-mesh.ts";
import { fileNameOf, ownPortsOf, planService, type ServicePlan } from "./plan.ts";
import { layOutPorts } from "./port-layout.ts";
import { createPortChooser } from "./ports.ts";
import { awaitSidecar, GRACE_MS, keepSidecar } from "./sidecar-process.ts";
import { removeServiceState, writeServiceState } from "./state-files.ts";
import type { Keeping } from "./supervisor.ts";

/** A sidecar of ours in somebody else's mesh. */
export interface JoinedSidecar {
  readonly plan: ServicePlan;
  /** Tells others which process the sidecar is for. */
  appStarted(app: ProcessName): Promise<void>;
  /** Ends the sidecar and takes the service out of the registry. */
  close(): Promise<void>;
}

export interface JoinOptions {
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Brings a service into a running mesh: a place in the registry, an identity and a sidecar that is kept alive. Errors:
 * `unreachable` when no mesh runs, `bad-input` when it has such a service already; nothing stays then.
 */
export async function joinMesh(service: MeshService, options: JoinOptions): Promise<JoinedSidecar> {
  const { paths, clock } = options;
  const run = await readLivingRun(paths);
  await endOrphans(paths, clock);
  const joined = await readJoinedServices(paths);
  const plan = await planJoining(service, run, joined, paths);
  const runner = await readOwnName();
  let app: ProcessName | null = null;
  let sidecar: Keeping | null = null;
  const tell = (): Promise<void> =>
    writeJoinedService(paths, describeService(plan, { sidecar: sidecar?.current() ?? null, app, runner }));

  async function close(): Promise<void> {
    await sidecar?.stop();
    await removeServiceState(plan, paths);
  }

  try {
    await writeServiceState(plan, paths);
    await tell();
    const sidecarOptions = { ...options, onChange: () => void tell().catch(() => undefined) };
    sidecar = await keepSidecar(plan, sidecarOptions);
    await tell();
    await awaitSidecar(plan, sidecar, sidecarOptions);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    plan,
    async appStarted(name) {
      app = name;
      await tell();
    },
    close,
  };
}

async function readLivingRun(paths: StatePaths): Promise<RunFile> {
  const run = await readRunFile(paths);
  if (run?.control.process !== undefined && run.control.process !== null && (await isRunning(run.control.process)))
    return run;
  throw new CardeaError("unreachable", `no mesh runs in ${paths.directory}; start one: cardea up`);
}

async function planJoining(
  service: MeshService,
  run: RunFile,
  joined: readonly RunningService[],
  paths: StatePaths,
): Promise<ServicePlan> {
  const others = [...run.services, ...joined];
  if (others.some((each) => each.name === service.name && each.namespace === service.namespace))
    throw new CardeaError("bad-input", `the mesh has a service ${service.namespace}/${service.name} already`);
  const ports = createPortChooser((port) => isPortFree({ host: "127.0.0.1", port }), new Set());
  const layout = layOutPorts(run.portBase, others.length, service);
  const { control, trustDomain, certTtlSec, protocolDetectionTimeoutMs, tracing, flowSampleOneIn } = run;
  const around = { paths, control, trustDomain, certTtlSec, protocolDetectionTimeoutMs, tracing, flowSampleOneIn };
  const plan = await planService(service, layout, ports, around);
  return { ...plan, config: { ...plan.config, ownPorts: ownPortsOf(control, [...others, plan.config]) } };
}

/** What a `cardea run` that was killed has left: its sidecar, and its place in the registry. */
async function endOrphans(paths: StatePaths, clock: Clock): Promise<void> {
  for (const orphan of await findOrphans(await readJoinedServices(paths))) {
    const left = orphan.sidecar === null ? [] : [{ kind: "sidecar" as const, process: orphan.sidecar }];
    await endLeftovers(left, GRACE_MS, clock);
    const name = fileNameOf(orphan);
    for (const file of [join(paths.registry, `${name}.json`), join(paths.joined, `${name}.json`)])
      await removeFile(file);
  }
}
