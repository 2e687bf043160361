import type { Fault, Located } from "../core/located.ts";
import { placeOfField } from "../core/field-path.ts";
import { lookUp } from "../core/schema.ts";
import { NAMESPACE_WHEN_ABSENT } from "../core/object-metadata.ts";
import type { PolicyFile } from "./policy-files.ts";
import { parseYaml } from "./yaml.ts";

/**
 * Findings with the line and column of their field. Documents do not keep where each of their values was written, so the
 * texts are read once more, those alone in which something was found.
 */
export function placeFindings<F extends Fault & { readonly policy: string }>(
  findings: readonly F[],
  files: readonly PolicyFile[],
): readonly F[] {
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  const documents = new Map<string, ReadonlyMap<string, Located>>();
  return findings.map((finding) => {
    const known = documents.get(finding.file) ?? documentsIn(texts.get(finding.file) ?? "", finding.file);
    documents.set(finding.file, known);
    const document = known.get(finding.policy);
    const at = document === undefined ? null : placeOfField(document, finding.field);
    return at === null ? finding : { ...finding, line: at.line, column: at.column };
  });
}

/** AuthorizationPolicies by `namespace/name`. */
function documentsIn(text: string, file: string): ReadonlyMap<string, Located> {
  const documents = parseYaml(text, file, []).flatMap((located) => {
    const items = lookUp(located, "items");
    return items?.kind === "list" ? items.items : [located];
  });
  return new Map(
    documents.flatMap((document) => {
      if (textAt(document, "kind") !== "AuthorizationPolicy") return [];
      const metadata = lookUp(document, "metadata");
      if (metadata === null) return [];
      const id = `${textAt(metadata, "namespace") ?? NAMESPACE_WHEN_ABSENT}/${textAt(metadata, "name")}`;
      return [[id, document]];
    }),
  );
}

function textAt(located: Located, key: string): string | null {
  const value = lookUp(located, key);
  return value?.kind === "scalar" && typeof value.value === "string" ? value.value : null;
}
