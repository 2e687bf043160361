import { join } from "node:path";
import { toCardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { readOwnName, startChild } from "../../io/child-processes.ts";
import type { Terminal } from "../command.ts";
import { type RunFile, type RunningService, writeRunFile } from "../run-file.ts";
import type { StatePaths } from "../state-dir.ts";
import { bundleSidecar } from "./bundle-sidecar.ts";
import { launchApp, launchControl } from "./launch.ts";
import type { LoadedMesh } from "./load-mesh.ts";
import { keepLogsShort } from "./logs.ts";
import { type LocalPlan, type ServicePlan, sidecarTracingOf } from "./plan.ts";
import { waitUntilListening, waitUntilReady } from "./readiness.ts";
import { awaitSidecar, GRACE_MS, keepSidecar, READY_TIMEOUT_MS, whyGivenUp } from "./sidecar-process.ts";
import { type Keeping, keepRunning } from "./supervisor.ts";

export interface LocalMeshOptions {
  readonly loaded: LoadedMesh;
  readonly plan: LocalPlan;
  readonly paths: StatePaths;
  readonly env: Terminal["env"];
  readonly clock: Clock;
  /** Something that the user should read: a process that died, a port that was taken. */
  readonly report: (line: string) => void;
  /** Aborted: the start is given up. */
  readonly signal: AbortSignal;
}

/** A mesh of processes that are kept alive. */
export interface LocalMesh {
  /** What runs at this moment. */
  run(): RunFile;
  /** Ends everything in order: apps, then the sidecars, which drain, then the control plane. */
  close(): Promise<void>;
  /** Does not wait for anybody's good order; `close` then has nothing to wait for. */
  kill(): void;
}

const APP_TIMEOUT_MS = 10_000;
const CONTROL_READY_PATH = "/readyz";

/** Starts control plane, sidecars and apps, each when what it needs is ready. Errors: those of what failed; nothing stays. */
export async function openLocalMesh(options: LocalMeshOptions): Promise<LocalMesh> {
  const mesh = new RunningMesh(options, await readOwnName());
  try {
    await mesh.start();
    return mesh;
  } catch (error) {
    await mesh.close();
    throw error;
  }
}

class RunningMesh implements LocalMesh {
  readonly #options: LocalMeshOptions;
  readonly #startedAt: string;
  readonly #sidecars = new Map<ServicePlan, Keeping>();
  readonly #apps = new Map<ServicePlan, Keeping>();
  readonly #logs: { close(): void };
  #control: Keeping | null = null;
  #up: RunFile["up"];
  #written: Promise<void> = Promise.resolve();
  #closing: Promise<void> | null = null;

  constructor(options: LocalMeshOptions, up: RunFile["up"]) {
    this.#options = options;
    this.#startedAt = new Date(options.clock.wallMs()).toISOString();
    this.#up = up;
    this.#logs = keepLogsShort(options.paths.log, options.clock);
  }

  async start(): Promise<void> {
    const { plan } = this.#options;
    this.#writeRunFile();
    await allDone([bundleSidecar(this.#options.paths), this.#startControl()]);
    await allDone(plan.services.map((service) => this.#startSidecar(service)));
    await allDone(plan.services.map((service) => this.#startApp(service)));
    await this.#written;
  }

  run(): RunFile {
    const { loaded, plan } = this.#options;
    return {
      mesh: loaded.mesh.name,
      meshFile: loaded.file,
      policiesDirectory: loaded.policiesDirectory,
      startedAt: this.#startedAt,
      trustDomain: loaded.mesh.settings.trustDomain,
      certTtlSec: loaded.mesh.certTtlSec,
      protocolDetectionTimeoutMs: loaded.mesh.protocolDetectionTimeoutMs,
      tracing: sidecarTracingOf(loaded.mesh),
      flowSampleOneIn: loaded.mesh.flowSampleOneIn,
      portBase: plan.portBase,
      up: this.#up,
      control: {
        address: plan.control.address,
        admin: plan.control.admin,
        flows: plan.control.flows,
        hubble: plan.control.hubble,
        map: plan.control.map,
        spiffeId: plan.control.spiffeId,
        process: this.#control?.current() ?? null,
      },
      services: plan.services.map((service) =>
        describeService(service, {
          sidecar: this.#sidecars.get(service)?.current() ?? null,
          app: this.#apps.get(service)?.current() ?? null,
          runner: null,
        }),
      ),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#endAll();
    return this.#closing;
  }

  async #endAll(): Promise<void> {
    this.#logs.close();
    await stopAll(this.#apps.values());
    await stopAll(this.#sidecars.values());
    await this.#control?.stop();
    this.#up = null;
    this.#writeRunFile();
    await this.#written;
  }

  kill(): void {
    for (const keeping of [...this.#apps.values(), ...this.#sidecars.values(), this.#control]) keeping?.kill();
  }

  async #startControl(): Promise<void> {
    const { loaded, plan, paths, env, clock, signal } = this.#options;
    const launched = launchControl(paths, env, loaded.mesh.policiesGit !== null);
    const control = await this.#keep("control plane", () => startChild(launched));
    this.#control = control;
    const giveUp = (): string | null => whyGivenUp(control, join(paths.log, "control.log"), signal);
    const wait = { clock, timeoutMs: READY_TIMEOUT_MS, giveUp };
    await waitUntilReady("control plane", plan.control.admin, CONTROL_READY_PATH, wait);
  }

  async #startSidecar(service: ServicePlan): Promise<void> {
    const options = { ...this.#options, onChange: () => this.#writeRunFile() };
    const sidecar = await keepSidecar(service, options);
    this.#sidecars.set(service, sidecar);
    await awaitSidecar(service, sidecar, options);
  }

  async #startApp(service: ServicePlan): Promise<void> {
    const { loaded, env, paths, clock, report, signal } = this.#options;
    const launch = launchApp(service, loaded.directory, env, paths);
    if (launch === null) return;
    const title = `app of ${titleOf(service)}`;
    this.#apps.set(service, await this.#keep(title, () => startChild(launch)));
    const giveUp = (): string | null => (signal.aborted ? "it was interrupted" : null);
    for (const { app } of service.config.inbound) {
      // A slow app is the reader's own matter; the mesh is up without it.
      await waitUntilListening(title, app, { clock, timeoutMs: APP_TIMEOUT_MS, giveUp }).catch((error: unknown) =>
        report(toCardeaError(error).message),
      );
    }
  }

  async #keep(title: string, start: Parameters<typeof keepRunning>[0]["start"]): Promise<Keeping> {
    const { clock, report } = this.#options;
    const onChange = (): void => this.#writeRunFile();
    return keepRunning({ title, start }, { clock, graceMs: GRACE_MS, onChange, report });
  }

  /** One write after the other, each with what is true when its turn comes. */
  #writeRunFile(): void {
    const { paths, report } = this.#options;
    this.#written = this.#written
      .then(() => writeRunFile(paths, this.run()))
      .catch((error: unknown) => report(toCardeaError(error).message));
  }
}

/** A service as the run file names it. */
export function describeService(
  plan: ServicePlan,
  processes: Pick<RunningService, "sidecar" | "app" | "runner">,
): RunningService {
  const { name, namespace, outbound, upstreams, inbound, hbone, admin, metrics, readiness, flowFile } = plan.config;
  return {
    name,
    namespace,
    principal: plan.principal,
    outbound,
    upstreams: upstreams.map((each) => ({ name: each.name, service: each.service, listen: each.listen })),
    inbound,
    admin,
    metrics,
    readiness,
    hbone,
    flowFile: flowFile ?? "",
    ...processes,
  };
}

/** Waits for all of them, then fails as the first one did: what is still starting must be known to be ended. */
async function allDone(steps: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(steps);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function stopAll(keepings: Iterable<Keeping>): Promise<void> {
  await Promise.all([...keepings].map((keeping) => keeping.stop()));
}

function titleOf(service: ServicePlan): string {
  return `${service.service.namespace}/${service.service.name}`;
}
