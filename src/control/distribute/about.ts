import type { SpiffeId } from "../../core/spiffe-id.ts";

/** What a resource of the registry is about: who may see it, and who is to hear of its changes at once. */
export interface About {
  readonly namespace: string;
  readonly isService: boolean;
  /** Resource names: its own if it is a service, else those of the services that it serves. */
  readonly services: readonly string[];
  /** Of a workload; null for a service. */
  readonly spiffeId: SpiffeId | null;
  /** The namespaces that it is exported to; null: all. */
  readonly exportTo: readonly string[] | null;
}

/** What changed over some time. */
export interface Changes {
  /** Name → what it was about, and is. */
  readonly names: ReadonlyMap<string, readonly About[]>;
  /** Identities with a workload that came, went or has other labels. */
  readonly identities: ReadonlySet<SpiffeId>;
  /** Services, by resource name, that nothing served before and something serves now. */
  readonly opened: ReadonlySet<string>;
}

/** A workload may be seen by whom any of its services may be seen by; one without services by all. */
export function exportToAny(services: readonly (readonly string[] | null)[]): readonly string[] | null {
  if (services.length === 0 || services.includes(null)) return null;
  return [...new Set(services.flatMap((each) => each ?? []))].toSorted();
}

/** The same to everybody. Equal bytes are not enough: whom a service is exported to is not among them. */
export function isSameResource(left: Exported | undefined, right: Exported | undefined): boolean {
  if (left === right) return true;
  if (left?.version !== right?.version) return false;
  return (left?.about?.exportTo?.join() ?? "*") === (right?.about?.exportTo?.join() ?? "*");
}

interface Exported {
  readonly version: string;
  readonly about: About | null;
}
