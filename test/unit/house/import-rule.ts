import { posix } from "node:path";
import type { ProjectFile } from "./project-files.ts";
import { codeOf, lineAt } from "./source-text.ts";

/** Folders of src/ by rank. A folder imports itself and lower ranks, never another folder of its own rank. */
const RANKS: readonly (readonly string[])[] = [
  ["core"],
  ["wire", "pki", "policy", "traffic"],
  ["config", "api", "observe", "io"],
  ["proxy", "control", "ui"],
  ["cli"],
  ["main"],
];

/** Modules that reach outside of the process: io/ adapts them, everybody else is handed what they need. */
const OUTSIDE_MODULES = ["net", "tls", "http", "https", "http2", "dns", "fs", "child_process", "dgram", "timers"];

/** Time, chance, the environment and the network are handed in as well. */
const AMBIENT =
  /\b(?:Date\.now|performance\.now|Math\.random|setTimeout|setInterval|process\.env)\b|\bnew Date\(\)|(?<![.\w])fetch\(/g;

/** The only places outside io/ that may look, at these words and for these reasons. */
const AMBIENT_ALLOWED: Readonly<Record<string, { readonly words: readonly string[]; readonly why: string }>> = {
  "src/main.ts": { words: ["setInterval"], why: "keeps the process alive until its command has ended" },
  "src/ui/browser.ts": {
    words: ["Date.now", "setTimeout", "fetch("],
    why: "the page's own io: it runs in a browser, and the rest of it is handed what it needs of one",
  },
  "src/cli/terminal.ts": { words: ["performance.now"], why: "one ^C arrives twice under npm" },
};

export interface Breach {
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

/** Checks files of src/ against the import rule of ARCHITECTURE.md; paths are from the root, as `src/wire/path.ts`. */
export function findBreaches(files: readonly ProjectFile[]): Breach[] {
  return files.flatMap((file) => [...importBreaches(file), ...ambientBreaches(file)]);
}

interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
  readonly line: number;
}

function importBreaches(file: ProjectFile): Breach[] {
  return importsOf(file.text).flatMap((found) => {
    const what = found.specifier.startsWith(".")
      ? localBreach(file.path, found.specifier)
      : outsideBreach(file.path, found);
    return what === null ? [] : [{ file: file.path, line: found.line, what }];
  });
}

const STATIC_IMPORT = /(?:^|[;}\n])\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']/g;
const DYNAMIC_IMPORT = /\b(?:import|require|getBuiltinModule)\s*\(\s*["']([^"']+)["']/g;

/** All imports and re-exports of a file; `import("x").T` in a type counts as a value import, which is stricter. */
function importsOf(source: string): Import[] {
  const code = codeOf(source, { keepStrings: true });
  const fromStatements = [...code.matchAll(STATIC_IMPORT)].map((match) => ({
    specifier: match[2]!,
    isTypeOnly: match[1] !== undefined,
    line: lineAt(code, match.index + match[0].length),
  }));
  const fromCalls = [...code.matchAll(DYNAMIC_IMPORT)].map((match) => ({
    specifier: match[1]!,
    isTypeOnly: false,
    line: lineAt(code, match.index),
  }));
  return [...fromStatements, ...fromCalls];
}

function localBreach(from: string, specifier: string): string | null {
  if (!/\.(?:ts|json)$/.test(specifier)) return `import "${specifier}" without its ending (.ts)`;
  const target = posix.join(posix.dirname(from), specifier);
  const [fromFolder, toFolder] = [folderOf(from), folderOf(target)];
  if (toFolder === null) return `imports ${target}, which is not in src/`;
  if (fromFolder === toFolder) return null;
  const [fromRank, toRank] = [rankOf(fromFolder), rankOf(toFolder)];
  if (fromRank < 0) return `${fromFolder}/ has no rank in the import rule`;
  if (toRank < 0) return `${toFolder}/ has no rank in the import rule`;
  if (toRank === fromRank) return `${fromFolder}/ imports ${toFolder}/, a folder of its own rank`;
  return toRank > fromRank ? `${fromFolder}/ imports ${toFolder}/, which stands above it` : null;
}

/** "wire" for src/wire/path.ts, "main" for src/main.ts, null outside src/. */
function folderOf(path: string | null): string | null {
  const match = /^src\/(?:([^/]+)\/|([^/]+)\.ts$)/.exec(path ?? "");
  return match === null ? null : (match[1] ?? match[2]!);
}

function rankOf(folder: string | null): number {
  return RANKS.findIndex((rank) => folder !== null && rank.includes(folder));
}

function outsideBreach(from: string, found: Import): string | null {
  const name = found.specifier.replace(/^node:/, "").split("/")[0]!;
  if (found.isTypeOnly || !OUTSIDE_MODULES.includes(name) || folderOf(from) === "io") return null;
  return `value import of ${found.specifier} outside io/; take a port from core/ports.ts instead`;
}

function ambientBreaches(file: ProjectFile): Breach[] {
  if (folderOf(file.path) === "io") return [];
  const allowed = AMBIENT_ALLOWED[file.path]?.words ?? [];
  return ambientWordsOf(file)
    .filter(({ word }) => !allowed.includes(word))
    .map(({ word, line }) => ({
      file: file.path,
      line,
      what: `${word} outside io/; take Clock or Random from core/ports.ts, or Terminal.env, instead`,
    }));
}

function ambientWordsOf(file: ProjectFile): { readonly word: string; readonly line: number }[] {
  const code = codeOf(file.text);
  return [...code.matchAll(AMBIENT)].map((match) => ({ word: match[0], line: lineAt(code, match.index) }));
}

/** Exceptions that nothing makes use of any more, as `file: word`. */
export function findIdleExceptions(files: readonly ProjectFile[]): string[] {
  return Object.entries(AMBIENT_ALLOWED).flatMap(([path, { words }]) => {
    const file = files.find((each) => each.path === path);
    const used = file === undefined ? [] : ambientWordsOf(file).map(({ word }) => word);
    return words.filter((word) => !used.includes(word)).map((word) => `${path}: ${word}`);
  });
}
