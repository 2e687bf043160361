import type { Address } from "../../core/ports.ts";
import { callerOf, type GrpcServerOptions, openGrpcServer } from "../grpc-server.ts";
import { createLogsService, type FlowObserver } from "./logs-service.ts";
import type { OpenFlowStore } from "./open-store.ts";

export interface CollectorOptions extends Omit<GrpcServerOptions, "services"> {
  /** Opened before the port is; closed with it. */
  readonly openStore: () => Promise<OpenFlowStore>;
  readonly observer: FlowObserver;
}

/** The collector of flow records: OTLP logs over gRPC, from callers with a certificate of the mesh, and the store behind it. */
export interface Collector {
  readonly address: Address;
  readonly store: OpenFlowStore;
  close(graceMs: number): Promise<void>;
}

/** Errors: those of the store, and `unreachable` when the port is taken; nothing stays open then. */
export async function openCollector({ openStore, observer, ...options }: CollectorOptions): Promise<Collector> {
  const store = await openStore();
  try {
    const service = createLogsService({ store, callerOf, observer, logger: options.logger });
    const server = await openGrpcServer({ ...options, services: [service] });
    return {
      address: server.address,
      store,
      async close(graceMs) {
        await server.close(graceMs);
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}
