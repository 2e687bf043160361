import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parsePolicyFiles } from "../../src/config/policy-files.ts";
import { formatRevisionFile, type PolicyText, revisionFileName } from "../../src/config/revision-file.ts";
import type { FlowRecord } from "../../src/observe/flow.ts";
import { formatFlowLine } from "../../src/observe/flow-line.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../src/policy/mesh-settings.ts";

export interface FlowState {
  readonly directory: string;
  /** Writes records (or lines as they are) as a sidecar's flow file. */
  writeFlows(name: string, flows: readonly (FlowRecord | string)[]): void;
  /** Keeps policy texts as the control plane does; the result is their revision. */
  writeRevision(files: readonly PolicyText[], settings?: Partial<MeshSettings>): string;
  remove(): void;
}

/** The state directory of a local mesh, as far as flows and explanations read it. */
export function makeFlowState(): FlowState {
  const directory = mkdtempSync(join(tmpdir(), "cardea-flow-state-"));
  for (const name of ["flows", "revisions"]) mkdirSync(join(directory, name));
  const run = { mesh: "local", meshFile: "/m/mesh.yaml", policiesDirectory: "/m/policies", up: null, services: [] };
  writeFileSync(join(directory, "run.json"), JSON.stringify(run));
  return {
    directory,
    writeFlows(name, flows) {
      const lines = flows.map((flow) => `${typeof flow === "string" ? flow : formatFlowLine(flow)}\n`);
      writeFileSync(join(directory, "flows", name), lines.join(""));
    },
    writeRevision(files, settings = {}) {
      const { revision } = parsePolicyFiles(files);
      const file = { revision, settings: { ...DEFAULT_MESH_SETTINGS, ...settings }, files };
      writeFileSync(join(directory, "revisions", revisionFileName(revision)), formatRevisionFile(file));
      return revision;
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
