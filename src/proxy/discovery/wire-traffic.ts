import type { Clock } from "../../core/ports.ts";
import { runInSlices } from "../../core/slices.ts";
import { type CompiledTraffic, type CompileOptions, trafficSteps } from "../../traffic/compile.ts";
import { parseTrafficDocument, type TrafficDocument } from "../../traffic/document.ts";
import type { TrafficKind } from "../../traffic/kinds.ts";
import type { WireUnread } from "./wire-policy.ts";
import { readUnread } from "./wire-unread.ts";

/**
 * Reads and compiles the traffic rules of a set, in slices. Its own file, and loaded with the first rule: many sidecars never
 * see one. Errors: as `readUnread`.
 */
export function compileWireTraffic(
  held: readonly WireUnread<TrafficKind>[],
  options: CompileOptions,
  clock: Clock,
): Promise<CompiledTraffic> {
  return runInSlices(trafficSteps(held.map(documentOf), options), clock);
}

/** What stays from set to set is the very same document, so that what was compiled of it is taken over. */
const documents = new WeakMap<WireUnread<TrafficKind>, TrafficDocument>();

function documentOf(held: WireUnread<TrafficKind>): TrafficDocument {
  const known = documents.get(held);
  if (known !== undefined) return known;
  const document = readUnread(held, parseTrafficDocument);
  documents.set(held, document);
  return document;
}
