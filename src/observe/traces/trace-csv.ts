import type { Span } from "./span.ts";

const COLUMNS = ["TraceID", "SpanID", "ParentID", "PodName", "OperationName", "StartTimeUnixNano"] as const;

/** Whether the text begins with the columns of such a table. */
export function isTraceTable(text: string): boolean {
  const head = text.slice(0, Math.max(0, text.indexOf("\n"))).trim();
  return COLUMNS.every((column) => head.split(",").includes(column));
}

/** A table of spans with a pod for each, as public data sets of microservices have them. */
export function readTraceTable(text: string): readonly Span[] {
  const [head, ...rows] = text.split("\n");
  const columns = head!.trim().split(",");
  const places = COLUMNS.map((column) => columns.indexOf(column));
  return rows.flatMap((row) => {
    const cells = row.trim().split(",");
    const [traceId, spanId, parent, pod, name, start] = places.map((place) => cells[place] ?? "");
    const startMs = /^\d{1,20}$/.test(start!) ? Number(BigInt(start!) / 1_000_000n) : Number.NaN;
    if (traceId === "" || spanId === "" || Number.isNaN(startMs)) return [];
    const parentSpanId = parent === "" || parent === "root" ? null : parent!;
    const service = { name: deploymentOf(pod!), namespace: null };
    return [{ traceId: traceId!, spanId: spanId!, parentSpanId, service, name: name!, startMs, attributes: new Map() }];
  });
}

/** A Deployment's pods are called `<name>-<hash of the template>-<five letters>`. */
function deploymentOf(pod: string): string {
  return pod.replace(/-[a-z0-9]{6,10}-[a-z0-9]{5}$/, "");
}
