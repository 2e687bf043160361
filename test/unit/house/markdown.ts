import { posix } from "node:path";
import type { ProjectFile } from "./project-files.ts";

/** A piece of code in a page: an inline span or one line of a fenced block. */
export interface CodePiece {
  readonly page: string;
  readonly text: string;
}

/** All code of a page: inline spans, and the lines of fenced blocks. */
export function codePiecesOf(page: ProjectFile): CodePiece[] {
  const blocks: string[] = [];
  const prose = page.text.replaceAll(/^```[^\n]*\n(.*?)^```/gms, (_, body: string) => {
    blocks.push(...body.split("\n"));
    return "";
  });
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);
  return [...spans, ...blocks].map((text) => ({ page: page.path, text }));
}

export interface MarkdownLink {
  /** Path from the root; the page itself for a link like `#heading`. */
  readonly target: string;
  /** Without the `#`; null when the link has none. */
  readonly anchor: string | null;
}

/** The page's links to other files of the project, and to its own headings. */
export function localLinksOf(page: ProjectFile): MarkdownLink[] {
  return [...page.text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1]!)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [path, anchor] = link.split("#", 2);
      const target = path === "" ? page.path : posix.join(posix.dirname(page.path), path!);
      return { target, anchor: anchor ?? null };
    });
}

/** The anchors that a page's headings get, as the usual renderers make them. */
export function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(/\s/g, "-"),
  );
}

/** The text of the section under a heading, up to the next heading of the same or a higher level. */
export function sectionOf(text: string, heading: string): string {
  const start = text.indexOf(`\n${heading}\n`);
  if (start < 0) return "";
  const rest = text.slice(start + heading.length + 2);
  const level = heading.indexOf(" ");
  const end = rest.search(new RegExp(`^#{1,${level}} `, "m"));
  return end < 0 ? rest : rest.slice(0, end);
}
