import type { ProxyConfig } from "../config/proxy-config.ts";
import { toCardeaError } from "../core/errors.ts";
import type { Connection, Logger } from "../core/ports.ts";
import { openPeerCredentials, type PeerCredentials, type ReadPeerCredentials } from "../io/peer-credentials.ts";
import { listenUnix } from "../io/unix-listener.ts";
import type { WorkloadApi, WorkloadApiOptions } from "../proxy/workload-api/workload-api.ts";

/** The identity socket of a sidecar. */
export interface WorkloadSocket {
  renew(): void;
  /** Takes the socket away, and ends its connections. */
  close(): Promise<void>;
}

type SocketConfig = NonNullable<ProxyConfig["workloadSocket"]>;

/** What serves the callers; loaded when the first one comes. */
interface Room {
  readonly api: WorkloadApi;
  readonly read: ReadPeerCredentials | null;
}

/**
 * Opens the identity socket. What stands behind it is loaded by the first caller: a sidecar whose app never asks has a
 * socket and nothing else. Errors: those of `listenUnix`.
 */
export async function openWorkloadSocket(config: SocketConfig, options: WorkloadApiOptions): Promise<WorkloadSocket> {
  const { logger } = options;
  let room: Promise<Room> | null = null;
  let isClosed = false;

  async function serve(connection: Connection): Promise<void> {
    const { api, read } = await (room ??= openRoom(options));
    const caller = read?.(connection) ?? null;
    if (isClosed || !mayCall(caller, config, logger)) return connection.destroy();
    logger.log("debug", "identity-caller", { pid: caller?.pid ?? null, uid: caller?.uid ?? null });
    api.serve(connection, caller?.pid ?? null);
  }

  const listening = await listenUnix({ path: config.file, access: config.access }, (connection) => {
    serve(connection).catch((thrown: unknown) => {
      logger.log("error", "identity-socket-failed", { message: toCardeaError(thrown).message });
      connection.destroy();
    });
  });
  logger.log("info", "identity-socket", { file: config.file });
  return {
    renew: () => void room?.then(({ api }) => api.renew()),
    async close() {
      isClosed = true;
      await listening.close();
      await room?.then(({ api }) => api.close());
    },
  };
}

async function openRoom(options: WorkloadApiOptions): Promise<Room> {
  const { createWorkloadApi } = await import("../proxy/workload-api/workload-api.ts");
  const read = openPeerCredentials();
  if (read === null)
    options.logger.log("info", "peer-credentials-absent", {
      message: "the kernel is not asked who calls (no koffi): the identity socket's permissions alone decide",
    });
  return { api: createWorkloadApi(options), read };
}

/** The socket's permissions say the same; not every file system holds to them for sockets. */
function mayCall(caller: PeerCredentials | null, { access }: SocketConfig, logger: Logger): boolean {
  if (access === "everyone" || caller === null) return true;
  if (caller.uid === process.getuid?.() || caller.uid === 0) return true;
  logger.log("warn", "identity-caller-refused", { pid: caller.pid, uid: caller.uid });
  return false;
}
