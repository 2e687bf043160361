/** One mesh or pair of proxies under measurement. */
export interface RunningSide {
  readonly name: string;
  readonly version: string;
  /** Where the caller's sidecar takes requests, on 127.0.0.1. */
  readonly httpPort: number;
  /** Where it takes TCP; null where the side can't. */
  readonly tcpPort: number | null;
  /** The processes of the pair that a load of this kind goes through; children are found from these. */
  pids(kind: "http" | "tcp"): readonly number[];
  /** From the start of its processes to the first request answered through the pair. */
  readonly readyMs: number;
  close(): Promise<void>;
}

/** Where the backends listen, on 127.0.0.1. */
export interface Backends {
  readonly httpPort: number;
  readonly tcpPort: number;
}

export interface SideSetting {
  readonly directory: string;
  readonly backends: Backends;
}

/** A side that can't take part, and why. */
export interface Absent {
  readonly absent: string;
}
