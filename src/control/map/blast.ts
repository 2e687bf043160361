import type { MapBlast } from "../../api/map-messages.ts";
import { reachedFrom } from "../../policy/analysis/blast-radius.ts";
import type { KnownWorkload } from "../../policy/analysis/known-workload.ts";
import type { Edge, Reach } from "../../policy/analysis/reach.ts";
import { mayReadNamespace, type Reader } from "./readers.ts";

/** What a breach of one workload can reach. Of namespaces that the reader may not see, it is told how much, not what. */
export function blastOf(
  workload: KnownWorkload,
  { edges, unknown }: Reach,
  { workloads, reader }: { readonly workloads: readonly KnownWorkload[]; readonly reader: Reader },
): MapBlast {
  const byCaller = Map.groupBy(edges, ({ from }) => from);
  const mayRead = (each: KnownWorkload): boolean => mayReadNamespace(reader, each.namespace);
  const reached = reachedFrom(workload, byCaller);
  const shown = reached.filter((each) => mayRead(each.workload));
  return {
    workload: workload.name,
    direct: (byCaller.get(workload) ?? []).filter(({ to }) => mayRead(to.workload)).map(directOf),
    reached: shown.map(({ workload: end, hops, via }) => ({
      to: end.name,
      hops,
      via: mayRead(via) ? via.name : "a workload in another namespace",
    })),
    hidden: reached.length - shown.length,
    others: workloads.length - 1,
    unknown: reader.namespaces === "all" ? unknown : [],
  };
}

function directOf({ to, grants }: Edge): MapBlast["direct"][number] {
  return {
    to: to.workload.name,
    port: to.port,
    protocol: to.protocol,
    grants: grants.map(({ formula, example }) => ({
      by: formula === null ? "the mesh's defaultAction" : `rule ${formula.rule.index} of ${formula.policy.id}`,
      example: to.protocol === "http" ? `${example.method} ${example.path}` : "a connection",
    })),
  };
}
