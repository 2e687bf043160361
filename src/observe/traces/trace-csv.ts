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
  const places = [...COLUMNS, "EndTimeUnixNano"].map((column) => columns.indexOf(column));
  return rows.flatMap((row) => {
    const cells = row.trim().split(",");
    const [traceId, spanId, parent, pod, name, start, end] = places.map((place) => cells[place] ?? "");
    const [startMs, endMs] = [timeOf(start!), timeOf(end!)];
    if (traceId === "" || spanId === "" || Number.isNaN(startMs)) return [];
    const parentSpanId = parent === "" || parent === "root" ? null : parent!;
    const service = { name: deploymentOf(pod!), namespace: null };
    const durationMs = endMs >= startMs ? endMs - startMs : null;
    const attributes = new Map<string, string>();
    return [
      { traceId: traceId!, spanId: spanId!, parentSpanId, service, name: name!, startMs, durationMs, attributes },
    ];
  });
}

/** In milliseconds, to the microsecond: which call came after which is seen by it. NaN where it is no time. */
function timeOf(text: string): number {
  return /^\d{1,20}$/.test(text) ? Number(BigInt(text) / 1_000n) / 1_000 : Number.NaN;
}

/** A Deployment's pods are called `<name>-<hash of the template>-<five letters>`. */
function deploymentOf(pod: string): string {
  return pod.replace(/-[a-z0-9]{6,10}-[a-z0-9]{5}$/, "");
}
