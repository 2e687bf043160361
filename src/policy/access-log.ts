import type { AuthenticationDocument, DocumentOf } from "./authentication/document.ts";
import type { Workload } from "./facts.ts";
import type { AccessLogging, Telemetry } from "./telemetry.ts";

/** Whether a workload's sidecar records what it lets through. What it refuses it records always. */
export interface AccessLog {
  /** As the caller's sidecar. */
  readonly isClientOn: boolean;
  /** As the called one's. */
  readonly isServerOn: boolean;
}

export type TelemetryDocument = DocumentOf<Telemetry>;
type Document = TelemetryDocument;

export function telemetriesOf(documents: readonly AuthenticationDocument[]): readonly Document[] {
  return documents.filter((each) => each.kind === "Telemetry");
}

/** Of all that select a workload, the items of one kind, the nearest last. */
export function telemetryItems<Item>(
  documents: readonly Document[],
  workload: Workload,
  rootNamespace: string,
  itemsOf: (document: Document) => readonly Item[],
): readonly Item[] {
  const { namespace, labels } = workload;
  const isOwn = (each: Document) => each.namespace === namespace && namespace !== rootNamespace;
  // One that says nothing of the kind does not stand before one that does.
  const said = documents.filter((each) => itemsOf(each).length > 0);
  const ofMesh = firstByName(said.filter((each) => each.namespace === rootNamespace && isForAll(each)));
  const ofNamespace = firstByName(said.filter((each) => isOwn(each) && isForAll(each)));
  const ofWorkload = firstByName(said.filter((each) => isOwn(each) && !isForAll(each) && selects(each, labels)));
  return [ofMesh, ofNamespace, ofWorkload].flatMap((each) => (each === null ? [] : itemsOf(each)));
}

/**
 * What the Telemetry of the mesh (root namespace, no labels) says, over it the namespace's, over it the workload's own. One
 * that does not say `disabled` leaves what is above, as Istio has it. Of several of one rank the first by name holds.
 */
export function resolveAccessLog(documents: readonly Document[], workload: Workload, rootNamespace: string): AccessLog {
  const items = telemetryItems(documents, workload, rootNamespace, ({ accessLogging }) => accessLogging);
  return { isClientOn: isOn("CLIENT", items), isServerOn: isOn("SERVER", items) };
}

function isOn(mode: "CLIENT" | "SERVER", items: readonly AccessLogging[]): boolean {
  const said = items.findLast((each) => each.isDisabled !== null && [mode, "CLIENT_AND_SERVER"].includes(each.mode));
  return said?.isDisabled !== true;
}

function isForAll({ matchLabels }: Document): boolean {
  return matchLabels.size === 0;
}

function selects({ matchLabels }: Document, labels: Workload["labels"]): boolean {
  return [...matchLabels].every(([name, label]) => labels[name] === label);
}

/** By code unit: the same everywhere. */
function firstByName(documents: readonly Document[]): Document | null {
  return documents.toSorted((left, right) => (left.name < right.name ? -1 : 1))[0] ?? null;
}
