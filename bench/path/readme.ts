import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const README = join(import.meta.dirname, "..", "README.md");

/** Which part of bench/README.md a run writes. */
type Section = "table" | "soak" | "telemetry" | "micro";

/** Puts a text between a section's marks. Errors: where the marks are not there once each, in order. */
export function replaceSection(page: string, section: string, content: string): string {
  const [begin, end] = [`<!-- bench:${section} begin`, `<!-- bench:${section} end -->`];
  const beginLineEnd = page.indexOf("\n", page.indexOf(begin));
  const endAt = page.indexOf(end);
  const isOnce = page.split(begin).length === 2 && page.split(end).length === 2;
  if (!isOnce || endAt < beginLineEnd) throw new Error(`the page has no place for ${section}`);
  return `${page.slice(0, beginLineEnd + 1)}\n${content.trim()}\n\n${page.slice(endAt)}`;
}

/** Writes a section of bench/README.md anew. Errors: as `replaceSection`. */
export function writeReadmeSection(section: Section, content: string): void {
  writeFileSync(README, replaceSection(readFileSync(README, "utf8"), section, content));
}
