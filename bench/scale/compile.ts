import { loadMeshApi } from "../../src/api/load.ts";
import { POLICY_SET_TYPE, POLICY_TYPE } from "../../src/api/resource-types.ts";
import { parsePolicyFiles, type PolicyReadings } from "../../src/config/policy-files.ts";
import { createPolicyContent, type PolicyContent } from "../../src/control/distribute/policy-content.ts";
import { createRegistryBuilder } from "../../src/control/distribute/registry-content.ts";
import { parseRegistryFile, type RegistryDocuments } from "../../src/control/distribute/registry-documents.ts";
import { createScope } from "../../src/control/distribute/scope.ts";
import { createLatest } from "../../src/core/latest.ts";
import { compilePolicy } from "../../src/policy/compile.ts";
import type { AuthorizationPolicy } from "../../src/policy/document.ts";
import { DEFAULT_MESH_SETTINGS } from "../../src/policy/mesh-settings.ts";
import { selectPolicies } from "../../src/policy/select.ts";
import type { ScaleArguments } from "./arguments.ts";
import { createWorld, policyOf, type WorldSidecar } from "./world.ts";

/** What so many policies cost, in milliseconds of processor time of one thread. */
export interface CompileResult {
  readonly policies: number;
  readonly workloads: number;
  /** Texts → documents, all of them for the first time. */
  readonly readMs: number;
  /** Documents → what is sent. */
  readonly encodeMs: number;
  /** Which policies each workload gets, and its set. */
  readonly selectMs: number;
  /** The same three after one policy has changed. */
  readonly changeMs: { readonly read: number; readonly encode: number; readonly select: number };
  /** What all sidecars together do: each compiles its own. */
  readonly compileMs: number;
  /** All policies in one workload. */
  readonly compileAllMs: number;
}

/** Reads, selects and compiles in this process, by the functions that control plane and sidecars run. */
export function runCompile(args: ScaleArguments): CompileResult {
  const world = createWorld({ ...args, services: Math.min(args.services, args.sidecars) });
  const services = Math.min(args.services, args.sidecars);
  const api = loadMeshApi();
  const readings: PolicyReadings = new Map();
  const files = world.policies.map(({ name, text }) => ({ path: name, text }));
  const read = timed(() => parsePolicyFiles(files, readings));
  const encoded = timed(() => createPolicyContent(read.value, api));
  const registry = createLatest(
    createRegistryBuilder({ api, trustDomain: "cluster.local" }).build("1", documentsOf(world.registry)),
  );
  const policies = createLatest<PolicyContent | null>(encoded.value);
  const viewFor = createScope({ registry, policies, settings: DEFAULT_MESH_SETTINGS, api });
  const viewAll = (): number => world.sidecars.reduce((sum, { spiffeId }) => sum + sizeOf(viewFor(spiffeId)), 0);
  const select = timed(viewAll);
  const changed = policyOf(1, services, 1);
  const later = files.map((file) => (file.path === changed.name ? { path: file.path, text: changed.text } : file));
  const readAgain = timed(() => parsePolicyFiles(later, readings));
  const encodeAgain = timed(() => createPolicyContent(readAgain.value, api, encoded.value));
  policies.set(encodeAgain.value);
  const selectAgain = timed(viewAll);
  const documents = read.value.documents;
  const byNamespace = Map.groupBy(documents, ({ namespace }) => namespace);
  const own = timed(() => {
    for (const sidecar of world.sidecars) compileFor(sidecar, byNamespace.get(sidecar.namespace) ?? []);
  });
  const everywhere = documents.map((each) => ({
    ...each,
    namespace: "team-0",
    matchLabels: new Map<string, string>(),
  }));
  const all = timed(() => compileFor(world.sidecars[0]!, everywhere));
  return {
    policies: documents.length,
    workloads: world.sidecars.length,
    readMs: read.ms,
    encodeMs: encoded.ms,
    selectMs: select.ms,
    changeMs: { read: readAgain.ms, encode: encodeAgain.ms, select: selectAgain.ms },
    compileMs: own.ms,
    compileAllMs: all.ms,
  };
}

function compileFor({ name, namespace }: WorldSidecar, documents: readonly AuthorizationPolicy[]): void {
  const workload = { namespace, labels: { app: name.slice(0, name.lastIndexOf("-")), version: "v1" } };
  const { rootNamespace } = DEFAULT_MESH_SETTINGS;
  const selected = selectPolicies(documents, workload, rootNamespace);
  compilePolicy(selected, workload, DEFAULT_MESH_SETTINGS);
}

function sizeOf(view: ReturnType<ReturnType<typeof createScope>>): number {
  return [POLICY_TYPE, POLICY_SET_TYPE].reduce(
    (sum, type) => sum + [...(view.get(type)?.resources.keys() ?? [])].length,
    0,
  );
}

function documentsOf(files: readonly { readonly name: string; readonly text: string }[]): RegistryDocuments {
  const read = files.map(({ name, text }) => parseRegistryFile(text, name, [])!);
  return { services: read.flatMap(({ services }) => services), workloads: read.flatMap(({ workloads }) => workloads) };
}

function timed<T>(act: () => T): { readonly value: T; readonly ms: number } {
  const before = process.cpuUsage();
  const value = act();
  const { user, system } = process.cpuUsage(before);
  return { value, ms: (user + system) / 1_000 };
}
