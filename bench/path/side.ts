/** What a load goes through: each side has a port for each that it can carry. */
export type Carried = "http" | "grpc" | "tcp" | "fresh";

/**
 * Where the caller's sidecar takes each, on 127.0.0.1; null where the side can't. `fresh` is TCP for which the two
 * sidecars open a connection of their own, with a full handshake, for every connection of the app.
 */
export type Ports = Readonly<Record<Carried, number | null>>;

/** One mesh or pair of proxies under measurement. */
export interface RunningSide {
  readonly name: string;
  readonly version: string;
  readonly ports: Ports;
  /** Where the server's sidecar takes HTTP from the caller's; null where it takes none. */
  readonly betweenPort: number | null;
  /** The processes of the pair that a load of this kind goes through; children are found from these. */
  pids(carried: Carried): readonly number[];
  /** Ends the caller's sidecar and has it started again. Resolves with the new process. */
  restartCaller(): Promise<number>;
  close(): Promise<void>;
}

/** Where the backends listen, on 127.0.0.1. */
export interface Backends {
  readonly httpPort: number;
  readonly grpcPort: number;
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
