import { dirname, join, relative, resolve } from "node:path";
import { type Mesh, parseMesh } from "../../config/mesh.ts";
import { parsePolicyFiles } from "../../config/policy-files.ts";
import { parseYaml } from "../../config/yaml.ts";
import { CardeaError } from "../../core/errors.ts";
import { type Fault, formatFault } from "../../core/located.ts";
import { readText } from "../../io/files.ts";
import { readPolicyTexts } from "../../io/policy-directory.ts";

/** A mesh file that is good, with policies that are good. */
export interface LoadedMesh {
  readonly mesh: Mesh;
  readonly file: string;
  /** Where the apps' commands run. */
  readonly directory: string;
  readonly policiesDirectory: string;
}

/** What `cardea up` runs when it is given no file: the sample in the package. */
export const SAMPLE_MESH_FILE = join(import.meta.dirname, "..", "..", "..", "deploy", "local", "mesh.yaml");

/** Reads a mesh file and its policies. Errors: `bad-input`, every fault on a line of its own. */
export async function loadMesh(asked: string | undefined, cwd: string): Promise<LoadedMesh> {
  const file = resolve(cwd, asked ?? SAMPLE_MESH_FILE);
  const directory = dirname(file);
  const faults: Fault[] = [];
  const mesh = await readMesh(file, nameFor(file, cwd), faults);
  const policiesDirectory = mesh === null ? null : resolve(directory, mesh.policies);
  // Those of a git repository the control plane reads, with the bounds that it has for strangers.
  if (policiesDirectory !== null && mesh?.policiesGit === null)
    faults.push(...(await findPolicyFaults(policiesDirectory, cwd)));
  if (mesh === null || policiesDirectory === null || faults.length > 0)
    throw new CardeaError("bad-input", faults.map(formatFault).join("\n"));
  return { mesh, file, directory, policiesDirectory };
}

async function readMesh(file: string, name: string, faults: Fault[]): Promise<Mesh | null> {
  const documents = parseYaml(await readText(file), name, faults);
  const [document] = documents;
  if (document === undefined) return null;
  if (documents.length > 1) {
    const message = `holds ${documents.length} documents; a mesh file is one`;
    faults.push({ file: name, line: null, column: null, field: "", message });
  }
  return parseMesh(document, { file: name }, faults);
}

async function findPolicyFaults(directory: string, cwd: string): Promise<readonly Fault[]> {
  const { files, faults } = await readPolicyTexts([directory]);
  const named = files.map(({ path, text }) => ({ path: nameFor(path, cwd), text }));
  return [...faults, ...parsePolicyFiles(named).faults];
}

/** As people would type it from where they are. */
function nameFor(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return near.startsWith(join("..", "..")) || near === "" ? path : near;
}
