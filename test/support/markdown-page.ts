/** A generated page: title, a note that it is generated, an introduction and the rest. */
export function page(title: string, source: string, intro: readonly string[], parts: readonly string[]): string {
  const note = `<!-- Made from ${source} by \`npm run reference\`; a test compares. Edits here are lost. -->`;
  return [`# ${title}`, note, intro.join("\n"), ...parts].join("\n\n").concat("\n");
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.map(cell).join(" | ")} |`).join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
