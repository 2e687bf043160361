import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startMeshAt, type TestMesh } from "./local-mesh.ts";

/** Runs a mesh of the test's own: services and policies as YAML texts. `through`: what runs it, if not this process. */
export async function startCustomMesh(
  spec: string,
  policies: string,
  through: readonly string[] = [],
): Promise<TestMesh> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-mesh-"));
  mkdirSync(join(directory, "policies"));
  writeFileSync(join(directory, "policies", "policies.yaml"), policies);
  const meshFile = join(directory, "mesh.yaml");
  const indented = spec.trim().replaceAll(/^/gm, "  ");
  writeFileSync(meshFile, `apiVersion: cardea.dev/v1\nkind: Mesh\nmetadata: { name: test }\nspec:\n${indented}\n`);
  return startMeshAt(directory, meshFile, through);
}

/** An ALLOW policy for one service account of the namespace `test`, on everything that a workload there serves. */
export function allowPolicy(name: string, app: string, caller: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: test }
spec:
  selector: { matchLabels: { app: ${app} } }
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/test/sa/${caller}"] } }] }]
`;
}
