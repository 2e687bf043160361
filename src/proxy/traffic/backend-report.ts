import type { Logger } from "../../core/ports.ts";
import type { TrafficCounts } from "../../observe/traffic-metrics.ts";
import type { BackendEvents } from "./backend.ts";
import type { Member } from "./member.ts";

/** Ejections and returns go to the log, and all of it to the metrics. */
export function reportBackends({ logger, counts }: { logger: Logger; counts: TrafficCounts }): BackendEvents {
  return {
    onEjected(service, member, { reason, forMs }) {
      counts.ejected(service, reason);
      logger.log("info", "workload-ejected", { ...named(service, member), reason, durationMs: forMs });
    },
    onReturned(service, member) {
      counts.returned(service);
      logger.log("info", "workload-returned", named(service, member));
    },
    onLeft: (service) => counts.returned(service),
    onRetry: (service) => counts.retried(service),
    onOverflow: (service, limit) => counts.overflowed(service, limit),
  };
}

function named(service: string, { peer, target }: Member) {
  return { service, workload: peer.workload, address: `${target.host}:${target.dialPort}` };
}
