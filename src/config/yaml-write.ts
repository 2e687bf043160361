import { stringify } from "yaml";

/** Documents as one YAML text, `---` between them; `heading` comes first, as comments. */
export function formatYaml(documents: readonly object[], heading: readonly string[] = []): string {
  const comments = heading.map((line) => (line === "" ? "#" : `# ${line}`)).join("\n");
  const texts = documents.map((document) => stringify(document, { lineWidth: 0, aliasDuplicateObjects: false }));
  return [...(comments === "" ? [] : [`${comments}\n`]), texts.join("---\n")].join("");
}
