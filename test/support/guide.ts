import { readFileSync } from "node:fs";

/** Blocks of commands of a guide, by the heading that they stand under. */
export type Guide = ReadonlyMap<string, readonly string[]>;

/** Of `docs/guides/NAME.md`: every block that a reader would type, in the order of the page. */
export function readGuide(name: string): Guide {
  const text = readFileSync(new URL(`../../docs/guides/${name}.md`, import.meta.url), "utf8");
  const sections = text.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => {
      const [heading = ""] = section.split("\n");
      return [heading, [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!)];
    }),
  );
}

/** Headings of the sections that tell a reader to type something. */
export function sectionsToFollow(guide: Guide): readonly string[] {
  return [...guide].flatMap(([heading, blocks]) => (blocks.length > 0 ? [heading] : []));
}
