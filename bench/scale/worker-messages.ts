import type { Address } from "../../src/core/ports.ts";
import type { WorldSidecar } from "./world.ts";

/** What the bench asks of a worker; each is answered once, under its number. */
export type WorkerRequest =
  | {
      readonly ask: "join";
      readonly sidecars: readonly (WorldSidecar & { readonly token: string })[];
      readonly control: { readonly address: Address; readonly spiffeId: string };
      readonly rootPem: string;
    }
  /** Opens all streams; answered when each has brought something of every type. */
  | { readonly ask: "connect" }
  /** As `connect`, of streams that come back by themselves. */
  | { readonly ask: "in-sync" }
  /** Answered at once; what comes from then on counts. */
  | { readonly ask: "expect"; readonly expectation: Expectation }
  /** Answered when every sidecar that is concerned has all names; or with what there is, after a time. */
  | { readonly ask: "arrivals"; readonly withinMs: number }
  /** What has come in since the last time. */
  | { readonly ask: "counters" }
  /** How many sidecars hold which addresses, by a digest of names and versions. */
  | { readonly ask: "digests" };

/** Which resources a change is about, and whom it concerns. */
export interface Expectation {
  readonly names: readonly string[];
  readonly concerns:
    | { readonly who: "all" }
    | { readonly who: "users"; readonly services: readonly string[] }
    | { readonly who: "identity"; readonly spiffeId: string };
}

export interface Arrivals {
  /** Milliseconds of the machine's monotonic clock, for each sidecar that has all names. */
  readonly atMs: readonly number[];
  readonly missing: number;
}

export interface Counters {
  readonly messages: number;
  readonly bytes: number;
  /** Different sidecars that something came to. */
  readonly touched: number;
  /** Streams that ended by themselves. */
  readonly ended: number;
}

/** A sum over workers. */
export function sumOf(all: readonly Counters[]): Counters {
  const sum = (read: (each: Counters) => number): number => all.reduce((total, each) => total + read(each), 0);
  return {
    messages: sum(({ messages }) => messages),
    bytes: sum(({ bytes }) => bytes),
    touched: sum(({ touched }) => touched),
    ended: sum(({ ended }) => ended),
  };
}

/** The monotonic clock that all processes of a machine share. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
