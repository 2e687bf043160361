import type { DeltaDiscoveryResponse } from "../../api/messages.ts";
import { ADDRESS_TYPE } from "../../api/resource-types.ts";
import { toCardeaError } from "../../core/errors.ts";
import { createLatest, type Latest } from "../../core/latest.ts";
import type { Logger } from "../../core/ports.ts";
import { createInterest, type InterestSource } from "./interest.ts";
import { EMPTY_REGISTRY, type RegistrySnapshot } from "./registry-snapshot.ts";
import type { InstantSink } from "./resource-sink.ts";
import { createServiceTable } from "./service-table.ts";
import { readWireAddress } from "./wire-address.ts";

export interface RegistrySink {
  readonly snapshot: Latest<RegistrySnapshot>;
  readonly addresses: InstantSink;
  /** By resource name: what is used is heard of at once. */
  readonly interest: InterestSource;
}

interface RegistrySinkOptions {
  /** The mesh's own, for resources that leave it out. */
  readonly trustDomain: string;
  readonly logger: Logger;
}

/** How many faults of one response are told. */
const FAULTS_TOLD_MAX = 5;

/** Holds services and workloads as they come. A faulty resource is refused by name; what it was before stays, as do the others. */
export function createRegistrySink({ trustDomain, logger }: RegistrySinkOptions): RegistrySink {
  const snapshot = createLatest<RegistrySnapshot>(EMPTY_REGISTRY);
  const interest = createInterest();
  const table = createServiceTable();
  const versions = new Map<string, string>();

  function apply(response: DeltaDiscoveryResponse): string | null {
    const faults: string[] = [];
    for (const name of response.removedResources) {
      table.remove(name);
      versions.delete(name);
    }
    for (const resource of response.resources) {
      try {
        table.put(resource.name, readWireAddress(resource, trustDomain));
        versions.set(resource.name, resource.version);
      } catch (thrown) {
        faults.push(toCardeaError(thrown).message);
      }
    }
    snapshot.set(table.snapshot());
    for (const fault of faults) logger.log("error", "registry-refused", { fault });
    return faults.length === 0 ? null : faults.slice(0, FAULTS_TOLD_MAX).join("; ");
  }

  return { snapshot, addresses: { typeUrl: ADDRESS_TYPE, held: () => versions, interest, apply }, interest };
}
