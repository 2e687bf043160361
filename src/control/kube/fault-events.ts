import { toCardeaError } from "../../core/errors.ts";
import { KUBE } from "../../core/kube-resources.ts";
import { apiVersionOf, type KubeApi, type KubeResource } from "../../core/kube.ts";
import type { Latest } from "../../core/latest.ts";
import { type Fault, formatFault } from "../../core/located.ts";
import type { Clock, Logger } from "../../core/ports.ts";
import { POLICY_KINDS } from "./policy-source.ts";

export interface FaultEventOptions {
  readonly kube: KubeApi;
  /** Why the policies as they are now are not in force. */
  readonly faults: Latest<readonly Fault[]>;
  readonly replica: string;
  /** Asked before each write: whether this replica is still the one that writes. */
  mayWrite(): boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Objects that are told of at a time. */
const TOLD_MAX = 20;
/** The API's own bound of an event's note. */
const NOTE_LENGTH_MAX = 1_024;

/**
 * Tells of a bad policy where its author looks, `kubectl describe`: an Event at the object itself, once for each fault.
 * One replica does this.
 */
export function tellFaults(options: FaultEventOptions): { close(): void } {
  let told = new Set<string>();

  function tell(faults: readonly Fault[]): void {
    const now = faults.slice(0, TOLD_MAX).map((fault) => ({ fault, text: formatFault(fault) }));
    for (const { fault, text } of now) if (!told.has(text)) void send(fault, options);
    told = new Set(now.map(({ text }) => text));
  }

  tell(options.faults.get());
  return { close: options.faults.subscribe(tell) };
}

async function send(fault: Fault, options: FaultEventOptions): Promise<void> {
  const { kube, replica, clock, logger } = options;
  const regarding = objectOf(fault);
  if (regarding === null || !options.mayWrite()) return;
  const { namespace } = regarding;
  const field = fault.field === "" ? "" : `${fault.field}: `;
  const event = {
    metadata: { generateName: "cardea-", namespace },
    eventTime: new Date(clock.wallMs()).toISOString().replace("Z", "000Z"),
    type: "Warning",
    reason: "PolicyRefused",
    action: "Refuse",
    note: `${field}${fault.message}; the policies of the mesh stay as they were`.slice(0, NOTE_LENGTH_MAX),
    regarding,
    reportingController: "cardea.dev/control",
    reportingInstance: replica.slice(0, 128),
  };
  try {
    await kube.create(KUBE.events, event, { namespace });
  } catch (thrown) {
    logger.log("warn", "fault-not-told", { namespace, error: toCardeaError(thrown).message });
  }
}

/** `namespace/Kind/name`, as policy-source.ts names the texts. */
function objectOf({ file }: Fault) {
  const [namespace, kind, name] = file.split("/");
  const resource = POLICY_KINDS.find((each: KubeResource) => each.kind === kind);
  if (namespace === undefined || name === undefined || resource === undefined) return null;
  return { apiVersion: apiVersionOf(resource), kind: resource.kind, namespace, name };
}
