import type { MapBreak, MapEdge, MapReadiness } from "../../api/map-messages.ts";
import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import { mutualTlsFor } from "../../policy/authentication/see-peer.ts";
import type { Reach } from "../../policy/analysis/reach.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import type { GroundWorkload } from "./ground.ts";
import { mayReadNamespace, type Reader } from "./readers.ts";

export interface ReadinessSources {
  readonly fromMs: number;
  readonly toMs: number;
  /** Of that range, as the reader may see them. */
  readonly edges: readonly MapEdge[];
  readonly workloads: readonly GroundWorkload[];
  readonly authentication: readonly AuthenticationDocument[];
  readonly settings: MeshSettings;
  /** What policies alone allow, with a default of DENY. */
  readonly reach: Reach;
  readonly reader: Reader;
}

/** Who works now, and would not under STRICT everywhere; and who would not if nothing but policies allowed anything. */
export function readinessOf(sources: ReadinessSources): MapReadiness {
  const { fromMs, toMs, settings, reader, reach } = sources;
  return {
    fromMs,
    toMs,
    strict: { lenient: lenientOf(sources), breaks: sources.edges.flatMap(breaksUnderStrict) },
    deny: {
      isDefault: settings.defaultAction === "DENY",
      isEnforced: settings.enforcement === "ENFORCE",
      breaks: breaksUnderDeny(sources),
      unknown: reader.namespaces === "all" ? reach.unknown : [],
    },
  };
}

function lenientOf({
  workloads,
  authentication,
  settings,
  reader,
}: ReadinessSources): MapReadiness["strict"]["lenient"] {
  return workloads
    .filter(({ namespace }) => mayReadNamespace(reader, namespace))
    .flatMap((workload) => {
      const { mode, ports } = mutualTlsFor(authentication, workload, settings.rootNamespace);
      const own = [...ports].filter(([, each]) => each.mode !== "STRICT");
      const modes = [
        ...(mode === "STRICT" ? [] : [mode]),
        ...own.map(([port, each]) => `${each.mode} on port ${port}`),
      ];
      return modes.length === 0 ? [] : [{ workload: workload.name, mode: modes.join(", ") }];
    });
}

function breaksUnderStrict(edge: MapEdge): readonly MapBreak[] {
  const passed = edge.flows.allowed + edge.flows["would-deny"];
  // Whoever reached nobody known left the mesh: STRICT is about who comes in.
  if (edge.tls === "mutual" || passed === 0 || edge.to.startsWith("/")) return [];
  const why = edge.tls === "none" ? "all of it comes without TLS" : "some of it comes without TLS";
  return [breakOf(edge, passed, why)];
}

function breaksUnderDeny({ edges, reach }: ReadinessSources): readonly MapBreak[] {
  const granted = new Set(
    reach.edges.map(({ from, to }) => `${from.name}>${to.workload.name}:${to.port ?? ""}/${to.protocol}`),
  );
  const unknown = new Set(reach.unknown.map((name) => name.replace(/:.*$/, "")));
  return edges.flatMap((edge) => {
    const would = edge.flows["would-deny"];
    if (would > 0) return [breakOf(edge, would, "policies would deny it, and AUDIT alone lets it through")];
    const isGranted = [edge.port, ""].some((port) => granted.has(`${edge.from}>${edge.to}:${port}/${edge.protocol}`));
    if (edge.flows.allowed === 0 || isGranted || unknown.has(edge.to) || edge.to.startsWith("/")) return [];
    return [breakOf(edge, edge.flows.allowed, "no ALLOW policy grants it: the mesh's default lets it through")];
  });
}

function breakOf({ from, to, port, protocol }: MapEdge, flows: number, why: string): MapBreak {
  return { from, to, port, protocol, flows, why };
}
