import type { Fault } from "../../core/located.ts";
import type { AuthenticationDocument } from "./document.ts";

/** What is of the mesh, of a namespace, or of the same labels: the first by name holds, and takes nothing of the others. */
export function lintRank(
  document: AuthenticationDocument,
  documents: readonly AuthenticationDocument[],
): readonly Fault[] {
  const [first = document] = documents
    .filter((each) => each.namespace === document.namespace && isSameSelector(each, document))
    .toSorted((left, right) => (left.id < right.id ? -1 : 1));
  if (first === document) return [];
  const whom = document.matchLabels.size === 0 ? `the namespace ${document.namespace}` : "the same labels";
  const place = `${first.source.file}:${first.source.line ?? 1}`;
  return [warning(document, "", `is passed over: for ${whom} ${first.id} holds, the first by name (${place})`)];
}

/** Whether two documents select by the same labels. */
export function isSameSelector(left: AuthenticationDocument, right: AuthenticationDocument): boolean {
  return (
    left.matchLabels.size === right.matchLabels.size &&
    [...left.matchLabels].every(([name, label]) => right.matchLabels.get(name) === label)
  );
}

/** A warning about a field of a document; about all of it where the field is empty. */
export function warning({ source }: AuthenticationDocument, field: string, message: string): Fault {
  return { file: source.file, line: source.line, column: source.line === null ? null : 1, field, message };
}
