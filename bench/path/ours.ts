import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunFile, RunningService } from "../../src/cli/run-file.ts";
import { type Child, findFreePorts, startChild } from "./child.ts";
import { awaitFirstAnswer } from "./first-answer.ts";
import { meshText, policyText, SERVED, silenceText, USUAL_TELEMETRY, withoutTunnel } from "./ours-mesh.ts";
import type { RunningSide, SideSetting } from "./side.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const POLL_MS = 5;
const UP_TIMEOUT_MS = 30_000;
const LOG_CHARS_SHOWN = 2_000;

export const OURS = "cardea";

/** What a sidecar of ours does for each request while it is measured. Trace context is passed on; spans are not there yet. */
const FLOWS = USUAL_TELEMETRY.flowStore ? "flow log, flow records to the store" : "flow log";
export const OURS_DOES = `policy of 100 rules, ${FLOWS}, metrics, trace context; no spans, so no sampling of them`;

/** Our side, and what of it can be looked at from outside. */
export interface OurSide extends RunningSide {
  readonly policyFile: string;
  readonly controlPid: number;
  /** A service as it runs now. */
  service(name: string): RunningService;
}

/** The program as it ships: plain JavaScript in dist/. Errors: what the compiler says. */
export function buildOurs(): void {
  const built = spawnSync("npm", ["run", "--silent", "build"], { cwd: ROOT, encoding: "utf8" });
  if (built.status !== 0) throw new Error(`the build failed: ${built.stdout}${built.stderr}`);
}

/**
 * A mesh of `cardea up`: the caller's sidecar, and one for each kind of what is carried. Metrics and trace context are on,
 * as they always are; the certificates are the mesh's own.
 */
export async function openOurs({ directory, backends }: SideSetting, telemetry = USUAL_TELEMETRY): Promise<OurSide> {
  const [http, grpc, tcp, fresh, outbound] = (await findFreePorts(5)) as [number, number, number, number, number];
  const policyFile = join(directory, "policies", "bench.yaml");
  mkdirSync(join(directory, "policies"), { recursive: true });
  writeFileSync(policyFile, policyText());
  const text = meshText({ http, grpc, tcp, fresh, outbound }, backends, telemetry);
  writeFileSync(join(directory, "mesh.yaml"), text);
  if (!telemetry.flowLog) writeFileSync(join(directory, "policies", "silent.yaml"), silenceText());
  const { up, state } = startMesh(directory);
  const failure = (): string | null =>
    up.hasEnded() ? `cardea up ended: ${up.output()}${readControlLog(state)}` : null;
  const runFile = join(state, "run.json");
  const service = (name: string): RunningService => findService(runFile, name)!;
  const pidOf = (name: string): number | null => findService(runFile, name)?.sidecar?.pid ?? null;
  try {
    for (const name of ["caller", ...Object.values(SERVED)]) await awaitSidecar(() => pidOf(name), failure);
    refuseTunnel(state);
    await awaitFirstAnswer(http, failure);
    return {
      name: OURS,
      version: `${packageVersion()} on Node ${process.versions.node}, HTTP/2 between`,
      ports: { http, grpc, tcp, fresh },
      betweenPort: service(SERVED.http).inbound[0]!.listen.port,
      policyFile,
      controlPid: readRunFile(runFile)!.control.process!.pid,
      service,
      pids: (carried) => ["caller", SERVED[carried]].map((name) => service(name).sidecar!.pid),
      async restartCaller() {
        const before = pidOf("caller");
        if (before !== null) process.kill(before, "SIGKILL");
        return awaitSidecar(() => {
          const pid = pidOf("caller");
          return pid === before ? null : pid;
        }, failure);
      },
      close: () => up.close(),
    };
  } catch (error) {
    await up.close();
    throw error;
  }
}

/** The control plane follows its registry's files. */
function refuseTunnel(state: string): void {
  const file = join(state, "registry", `bench.${SERVED.fresh}.json`);
  writeFileSync(`${file}.new`, withoutTunnel(readFileSync(file, "utf8")), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

let meshes = 0;

function startMesh(directory: string): { readonly up: Child; readonly state: string } {
  const state = join(directory, "state");
  // Below the ports that the kernel gives to connections, and not the default: a mesh may be running there.
  const portBase = String(17_000 + ((process.pid + meshes++) % 30) * 500);
  const words = ["up", join(directory, "mesh.yaml"), "--json", "--state", state, "--port-base", portBase];
  return {
    up: startChild(process.execPath, [join(ROOT, "dist", "main.js"), ...words], join(directory, "up.log")),
    state,
  };
}

function readControlLog(state: string): string {
  const file = join(state, "log", "control.log");
  return existsSync(file) ? readFileSync(file, "utf8").slice(-LOG_CHARS_SHOWN) : "";
}

async function awaitSidecar(find: () => number | null, failure: () => string | null): Promise<number> {
  const untilMs = performance.now() + UP_TIMEOUT_MS;
  for (;;) {
    const pid = find();
    if (pid !== null) return pid;
    const why = failure() ?? (performance.now() > untilMs ? "cardea up started no sidecars" : null);
    if (why !== null) throw new Error(why);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function findService(runFile: string, name: string): RunningService | undefined {
  return readRunFile(runFile)?.services.find((service) => service.name === name);
}

function readRunFile(file: string): RunFile | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as RunFile;
  } catch {
    // Not written yet.
    return undefined;
  }
}

function packageVersion(): string {
  return (JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string }).version;
}
