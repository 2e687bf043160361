import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { vi } from "vitest";
import type { RunFile, RunningService } from "../../src/cli/run-file.ts";
import type { MeshReport } from "../../src/cli/status.ts";
import type { FlowRecord } from "../../src/observe/flow.ts";
import { parseFlowLine } from "../../src/observe/flow-line.ts";
import { cardea, type Finished, type RunningCardea, startCardea } from "./cardea.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/**
 * Off the default, so that a mesh of the developer's own is in nobody's way; and different for each test process:
 * stepping around a taken port cannot help two that look at the same moment.
 */
export const PORT_BASE = String(20_000 + (process.pid % 110) * 100);

/** The sample mesh, run from a copy with a state directory of its own. */
export interface TestMesh {
  readonly up: RunningCardea;
  readonly directory: string;
  readonly state: string;
  readonly meshFile: string;
  readonly policies: string;
  /** run.json as it is now. */
  run(): RunFile;
  service(name: string): RunningService;
  /** A command of ours about this mesh. */
  cardea(command: string, ...words: string[]): Promise<Finished>;
  /** What `cardea status` says; null while the control plane is away. */
  status(): Promise<MeshReport | null>;
  /** How many attempts of the breach, which `up` plays on the sample, have been told so far. */
  attempts(): number;
  /** Every record that is in the flow files, by time. */
  flows(): readonly FlowRecord[];
  close(): Promise<void>;
}

export interface TestMeshOptions {
  /** Changes the mesh file's text before it is run. */
  readonly mesh?: (text: string) => string;
}

/** A copy of deploy/local and policies/ below a new temporary directory. */
export function copySample(options: TestMeshOptions = {}): { readonly directory: string; readonly meshFile: string } {
  const directory = mkdtempSync(join(tmpdir(), "cardea-mesh-"));
  cpSync(join(ROOT, "deploy", "local"), join(directory, "deploy", "local"), { recursive: true });
  cpSync(join(ROOT, "policies"), join(directory, "policies"), { recursive: true });
  // The sample services are modules by the project's package.json, which is not above the copy.
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }\n');
  const meshFile = join(directory, "deploy", "local", "mesh.yaml");
  const text = readFileSync(meshFile, "utf8");
  writeFileSync(meshFile, options.mesh?.(text) ?? text);
  return { directory, meshFile };
}

/** Runs `cardea up` on a copy of the sample and waits until it says that the mesh is up. */
export async function startTestMesh(options: TestMeshOptions = {}): Promise<TestMesh> {
  const { directory, meshFile } = copySample(options);
  return startMeshAt(directory, meshFile);
}

/** The same for a mesh file that is there already; the directory goes with the mesh. */
export async function startMeshAt(
  directory: string,
  meshFile: string,
  through: readonly string[] = [],
): Promise<TestMesh> {
  const state = join(directory, "state");
  const up = startCardea(["up", meshFile, "--json", "--state", state, "--port-base", PORT_BASE], { through });
  const first = await up.lines.next();
  if (first.done === true) throw new Error(`cardea up ended: ${JSON.stringify(await up.finished)}`);
  let attempts = 0;
  void readOn(up.lines, (line) => {
    if (line.startsWith('{"event":"attempt"')) attempts += 1;
  });
  const run = (): RunFile => JSON.parse(readFileSync(join(state, "run.json"), "utf8")) as RunFile;
  return {
    up,
    directory,
    state,
    meshFile,
    policies: join(directory, "policies"),
    run,
    service: (name) => run().services.find((service) => service.name === name)!,
    cardea: (command, ...words) => cardea([...command.split(" "), "--state", state, ...words]),
    async status() {
      const { code, stdout } = await cardea(["status", "--json", "--state", state]);
      return code === 3 ? null : (JSON.parse(stdout) as MeshReport);
    },
    attempts: () => attempts,
    flows: () => readFlows(run()),
    async close() {
      up.child.kill("SIGTERM");
      await up.finished;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function readFlows(run: RunFile): readonly FlowRecord[] {
  const lines = run.services.flatMap((service) => readLines(service.flowFile));
  const records = lines.map(parseFlowLine).filter((record) => record !== null);
  return records.toSorted((a, b) => a.timeMs - b.timeMs);
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
}

/** To the end: a pipe that nobody reads would fill and stop the writer. */
async function readOn(lines: AsyncIterable<string>, onLine: (line: string) => void): Promise<void> {
  for await (const line of lines) onLine(line);
}

type Truthy<T> = Exclude<T, null | undefined | false>;

/** Waits until the condition gives something; fails after half a minute (a busy machine is no fault), or as long as is told. */
export function eventually<T>(condition: () => T | Promise<T>, timeoutMs = 30_000): Promise<Truthy<T>> {
  return vi.waitUntil(condition, { timeout: timeoutMs, interval: 10 }) as Promise<Truthy<T>>;
}
