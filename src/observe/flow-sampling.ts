import type { FlowRecord } from "./flow.ts";

/**
 * Whether a flow is one of many that say the same: it was simply allowed, and nothing went wrong. A denial, what would be one,
 * an error, and what AUDIT or a dry run marks are each kept.
 */
export function isSampleable({ verdict, reason, auditedBy, dryRun, status, grpcStatus }: FlowRecord): boolean {
  return (
    verdict === "allowed" &&
    reason !== "break-glass" &&
    auditedBy === null &&
    dryRun === null &&
    (status === null || status < 500) &&
    (grpcStatus === null || grpcStatus === 0)
  );
}

/**
 * Whether it is the one of so many that is kept. By its own id, which is this sidecar's chance: by the trace id, which callers
 * choose, they could choose not to be seen.
 */
export function isChosen({ id }: FlowRecord, oneIn: number): boolean {
  return oneIn === 1 || Number.parseInt(id.slice(-8), 16) % oneIn === 0;
}
