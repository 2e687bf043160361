import type { Fault } from "../../core/located.ts";
import { type AuthenticationDocument, ofKind } from "./document.ts";
import { lintRank, warning } from "./lint-rank.ts";

/** Telemetries that are valid, and hold for nobody: one warning each. */
export function lintTelemetries(all: readonly AuthenticationDocument[], rootNamespace: string): readonly Fault[] {
  const documents = ofKind(all, "Telemetry");
  return documents.flatMap((document) => {
    const inRoot = document.namespace === rootNamespace;
    return inRoot && document.matchLabels.size > 0
      ? [warning(document, "spec.selector", NOBODY)]
      : lintRank(document, documents);
  });
}

const NOBODY = "holds for nobody: in the root namespace a Telemetry is the mesh's, and one with labels is passed over";
