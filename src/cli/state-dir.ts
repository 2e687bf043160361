import { tmpdir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { CardeaError } from "../core/errors.ts";
import { isWritable, listDirectories, readKind, readModifiedMs } from "../io/files.ts";
import type { Terminal } from "./command.ts";

/** Where things stand in a local mesh's state directory. */
export interface StatePaths {
  readonly directory: string;
  /** What runs: pids, ports, admin addresses (cli/run-file.ts). */
  readonly runFile: string;
  /** The control plane's own configuration. */
  readonly controlFile: string;
  /** Root and intermediate, mode 0600. */
  readonly ca: string;
  /** The public root, the one file that sidecars pin. */
  readonly rootFile: string;
  /** One-time join tokens by hash. */
  readonly join: string;
  /** Services and workloads as documents. */
  readonly registry: string;
  readonly flows: string;
  readonly log: string;
  /** Policy texts by revision, so that an explanation can name file and line. */
  readonly revisions: string;
  /** Bootstrap files of the sidecars. */
  readonly proxies: string;
  /** What `cardea run` has brought in, one file a service. */
  readonly joined: string;
  /** With this Prometheus reads the mesh. */
  readonly prometheusFile: string;
  /** Whom it reads: one file a service, and one of the control plane. */
  readonly prometheusTargets: string;
  /** Identity sockets of the apps. */
  readonly sockets: string;
  /** In a checkout: all that a sidecar loads, in one file. Its name says ESM: else Node would read it twice to find out. */
  readonly sidecarFile: string;
  /** What Node has made of our sources. */
  readonly compileCache: string;
}

/** The layout below a directory. */
export function statePathsOf(directory: string): StatePaths {
  return {
    directory,
    runFile: join(directory, "run.json"),
    controlFile: join(directory, "control.json"),
    ca: join(directory, "ca"),
    rootFile: join(directory, "ca", "root.pem"),
    join: join(directory, "join"),
    registry: join(directory, "registry"),
    flows: join(directory, "flows"),
    log: join(directory, "log"),
    revisions: join(directory, "revisions"),
    proxies: join(directory, "proxies"),
    joined: join(directory, "joined"),
    prometheusFile: join(directory, "prometheus.yaml"),
    prometheusTargets: join(directory, "prometheus"),
    sockets: join(directory, "sockets"),
    sidecarFile: join(directory, "sidecar.mjs"),
    compileCache: join(directory, "compile-cache"),
  };
}

/** A state directory and whether somebody asked for this very one. */
export interface StateChoice {
  readonly directory: string;
  readonly isExplicit: boolean;
}

type Surroundings = Pick<Terminal, "env" | "cwd">;

/**
 * Where a mesh of this name keeps its state: `--state`, else CARDEA_STATE, else `$XDG_STATE_HOME/cardea/<name>`
 * with `~/.local/state` for the first (XDG Base Directory Specification), else, where the home directory is of no
 * use, a directory of the user's own under the system's temporary one.
 */
export async function chooseStateDirectory(
  flag: string | undefined,
  meshName: string,
  around: Surroundings,
): Promise<StateChoice> {
  const asked = askedDirectory(flag, around);
  if (asked !== null) return { directory: asked, isExplicit: true };
  return { directory: join(await stateHome(around.env), meshName), isExplicit: false };
}

/**
 * The state directory of the mesh that a command without a mesh file is about: the one asked for, else the one that
 * was started last. Errors: `unreachable` when there is none.
 */
export async function findStateDirectory(flag: string | undefined, around: Surroundings): Promise<StatePaths> {
  const asked = askedDirectory(flag, around);
  if (asked !== null) {
    if ((await readKind(statePathsOf(asked).runFile)) === "file") return statePathsOf(asked);
    throw new CardeaError("unreachable", `no mesh has its state in ${asked}; start one: cardea up --state ${asked}`);
  }
  const home = await stateHome(around.env);
  const candidates = (await listDirectories(home)).map((name) => statePathsOf(join(home, name)));
  const started = await Promise.all(candidates.map((paths) => readModifiedMs(paths.runFile)));
  const newest = started.indexOf(Math.max(...started));
  if (candidates.length === 0 || started[newest] === 0)
    throw new CardeaError("unreachable", "no mesh runs here; start one: cardea up");
  return candidates[newest]!;
}

function askedDirectory(flag: string | undefined, around: Surroundings): string | null {
  const asked = flag ?? nonEmpty(around.env["CARDEA_STATE"]);
  return asked === undefined ? null : resolve(around.cwd, asked);
}

async function stateHome(env: Terminal["env"]): Promise<string> {
  const xdg = nonEmpty(env["XDG_STATE_HOME"]);
  // The specification: a relative path is to be ignored.
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, "cardea");
  const home = nonEmpty(env["HOME"]);
  if (home !== undefined && isAbsolute(home) && (await isWritable(home)))
    return join(home, ".local", "state", "cardea");
  return join(tmpdir(), `cardea-${process.getuid?.() ?? "user"}`);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
