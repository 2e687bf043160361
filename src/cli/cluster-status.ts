import { type MeshStatus, readMeshStatus, type SidecarReport } from "../control/doctor/mesh-status.ts";
import { openClusterClient } from "./cluster-client.ts";
import type { ExitCode, ParsedArgs, Terminal } from "./command.ts";
import { paint, visibleText } from "./flow-text.ts";
import { readNamespace } from "./installation.ts";

/** `cardea status` of a cluster. Errors: `bad-input`, and those of KubeApi. */
export async function runClusterStatus(args: ParsedArgs, terminal: Terminal): Promise<ExitCode> {
  const namespace = readNamespace(args);
  const cluster = await openClusterClient(args, terminal);
  try {
    const status = await readMeshStatus(cluster.kube, namespace);
    if (args.isSet("json")) terminal.stdout(JSON.stringify(status));
    else for (const line of describe(status, terminal.colour)) terminal.stdout(line);
    return status.inSync ? 0 : 1;
  } finally {
    await cluster.close();
  }
}

function describe({ inSync, revision, replicas, sidecars, problems }: MeshStatus, colour: boolean): readonly string[] {
  const current = sidecars.filter((each) => each.error === null && each.revision === revision).length;
  const width = Math.max(0, ...[...replicas, ...sidecars].map(({ pod }) => pod.length));
  return [
    `mesh: ${inSync ? paint("in sync", "allowed", colour) : paint("NOT in sync", "denied", colour)}`,
    `policies: revision ${revision ?? "none"}, in force at ${current} of ${sidecars.length} sidecars`,
    "control plane:",
    ...replicas.map(
      ({ pod, leads, connected, revision: given }) =>
        `  ${pod.padEnd(width)}  revision ${given ?? "none"}  ${connected} connected${leads ? "  leads" : ""}`,
    ),
    "sidecars:",
    ...sidecars.map((each) => `  ${each.pod.padEnd(width)}  revision ${each.revision ?? "none"}  ${certificate(each)}`),
    ...problems.map((problem) => paint(visibleText(problem), "denied", colour)),
  ];
}

function certificate({ certificateLeftSec }: SidecarReport): string {
  if (certificateLeftSec === null) return "no certificate";
  return `certificate ${Math.floor(certificateLeftSec / 60)} min left`;
}
