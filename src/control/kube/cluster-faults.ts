import type { Logger } from "../../core/ports.ts";

/** What can be wrong around a control plane in a cluster that no request of its own runs into. */
export const CLUSTER_FAULT_TABLE = {
  "root-missing": "The Secret with the authority's root is gone, and could not be put back yet.",
  "root-replaced": "The Secret holds another root than the one that signs; no other replica can start with it.",
  "clock-differs": "Our clock and the API server's are so far apart that no certificate is issued.",
  "webhooks-absent":
    "A webhook configuration is missing: nobody gives pods their sidecars, and policies are not checked.",
  "injection-settings": "The InjectionSettings of the ConfigMap cannot be read; the last good ones are in force.",
  "webhooks-changed": "A webhook configuration lets objects pass that ours would not.",
} as const satisfies Record<string, string>;

export type ClusterFaultName = keyof typeof CLUSTER_FAULT_TABLE;

export interface ClusterFault {
  readonly fault: ClusterFaultName;
  /** What it concerns: the name of a configuration, or nothing. */
  readonly about: string;
  /** What was found, in words for people. */
  readonly message: string;
}

/** The faults of now: in the status and the metrics as long as they last, in the log when they begin and end. */
export interface ClusterFaults {
  list(): readonly ClusterFault[];
  /** Null: it is well. */
  set(fault: ClusterFaultName, message: string | null, about?: string): void;
}

export function createClusterFaults(logger: Logger): ClusterFaults {
  const faults = new Map<string, ClusterFault>();
  return {
    list: () => [...faults.values()],
    set(fault, message, about = "") {
      const key = `${fault} ${about}`;
      const before = faults.get(key);
      if (message === null) {
        if (faults.delete(key)) logger.log("info", "cluster-fault-over", { fault, service: about });
        return;
      }
      faults.set(key, { fault, about, message });
      if (before?.message !== message) logger.log("error", "cluster-fault", { fault, service: about, message });
    },
  };
}
