import { type Mesh, parseMesh } from "../config/mesh.ts";
import { NO_DOCUMENTS, type PolicyFile, type PolicyFiles, parsePolicyFiles } from "../config/policy-files.ts";
import { parseYaml } from "../config/yaml.ts";
import { CardeaError } from "../core/errors.ts";
import { type Fault, formatFault } from "../core/located.ts";
import { readKind, readText } from "../io/files.ts";
import { readGitTexts } from "../io/git-files.ts";
import { readPolicyTexts } from "../io/policy-directory.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../policy/mesh-settings.ts";
import type { Command, ParsedArgs } from "./command.ts";

/**
 * The policies of a path, or of one in a git revision: `main:policies`. What is there as a path is one. Errors: `bad-input`.
 */
export async function readPolicyVersion(where: string): Promise<PolicyFiles> {
  const colon = where.indexOf(":");
  if (colon <= 0 || (await readKind(where)) !== "absent") return await readGoodPolicies([where]);
  const { files } = await readGitTexts(where.slice(0, colon), where.slice(colon + 1) || ".");
  const parsed = parsePolicyFiles(files);
  assertNoFaults(parsed.faults);
  return parsed;
}

/** The policies at the paths, with a fault for all that is wrong with them. */
async function readPolicies(paths: readonly string[]): Promise<PolicyFiles> {
  return (await readPoliciesWithTexts(paths)).policies;
}

/** The same, and the texts that they were read from. */
export async function readPoliciesWithTexts(
  paths: readonly string[],
): Promise<{ readonly files: readonly PolicyFile[]; readonly policies: PolicyFiles }> {
  const { files, faults } = await readPolicyTexts(paths);
  const parsed = parsePolicyFiles(files);
  if (faults.length === 0) return { files, policies: parsed };
  return { files, policies: { ...parsed, ...NO_DOCUMENTS, faults: [...faults, ...parsed.faults] } };
}

/** The same for a command that can do nothing with a bad set. Errors: `bad-input`, every fault on its own line. */
export async function readGoodPolicies(paths: readonly string[]): Promise<PolicyFiles> {
  const policies = await readPolicies(paths);
  assertNoFaults(policies.faults);
  return policies;
}

/** All values of a flag that has to be given. Errors: `bad-input`. */
export function needFlag(args: ParsedArgs, name: string, command: Pick<Command, "usage">): readonly string[] {
  const values = args.flags(name);
  if (values.length > 0) return values;
  throw new CardeaError("bad-input", `--${name} is needed; usage: ${command.usage}`);
}

/** The settings of a mesh file; the defaults without one. Errors: `bad-input`. */
export async function readMeshSettings(file: string | undefined): Promise<MeshSettings> {
  return file === undefined ? DEFAULT_MESH_SETTINGS : (await readMesh(file)).settings;
}

/** One Mesh document. Errors: `bad-input`. */
export async function readMesh(file: string): Promise<Mesh> {
  const faults: Fault[] = [];
  const [document, ...others] = parseYaml(await readText(file), file, faults);
  const mesh = document === undefined ? null : parseMesh(document, { file }, faults);
  assertNoFaults(faults);
  if (mesh === null || others.length > 0)
    throw new CardeaError("bad-input", `${file}: expected one Mesh document, found ${others.length + 1}`);
  return mesh;
}

function assertNoFaults(faults: readonly Fault[]): void {
  if (faults.length > 0) throw new CardeaError("bad-input", faults.map(formatFault).join("\n"));
}
