/** Flows that a sidecar had to drop, as it tells of them itself. */
export interface Loss {
  /** Why: the queue was full, or the disk; docs/reference/metrics.md. */
  readonly reason: string;
  readonly verdict: string;
  /** Whose flows: the other side's identity; null: many, or nobody's. */
  readonly principal: string | null;
  readonly flows: number;
}
