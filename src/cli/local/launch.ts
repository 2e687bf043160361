import { delimiter, dirname, extname, join } from "node:path";
import { CardeaError } from "../../core/errors.ts";
import { RUNTIME } from "../../core/image.ts";
import { findProgram, readKind } from "../../io/files.ts";
import type { ChildOptions } from "../../io/child-processes.ts";
import type { Terminal } from "../command.ts";
import type { StatePaths } from "../state-dir.ts";
import { fileNameOf, type ServicePlan } from "./plan.ts";

/** `cardea control` as a child of ours. */
export function launchControl(paths: StatePaths, env: Terminal["env"], usesGit: boolean): ChildOptions {
  const child = launchCardea(["control", "--config", paths.controlFile], join(paths.log, "control.log"), paths);
  return usesGit ? { ...child, env: { ...gitEnv(env), ...child.env } } : child;
}

/** Where git, its keys and its proxy are; git alone is handed them (io/git-repository.ts). */
const GIT_NEEDS = ["PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy"];

function gitEnv(env: Terminal["env"]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    GIT_NEEDS.flatMap((name) => {
      const value = env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** `cardea proxy` for one service. */
export async function launchSidecar(plan: ServicePlan, paths: StatePaths): Promise<ChildOptions> {
  const name = fileNameOf(plan.service);
  const config = join(paths.proxies, `${name}.json`);
  const logFile = join(paths.log, `${name}.sidecar.log`);
  return launch(await sidecarFile(paths), ["proxy", "--config", config], { logFile, paths });
}

/** Another role of this very program, on this very runtime. */
export function launchCardea(words: readonly string[], logFile: string, paths: StatePaths): ChildOptions {
  return launch(mainFile(), words, { logFile, paths });
}

interface LaunchPlace {
  readonly logFile: string;
  readonly paths: StatePaths;
}

function launch(file: string, words: readonly string[], { logFile, paths }: LaunchPlace): ChildOptions {
  return {
    program: process.execPath,
    args: [...RUNTIME.flags, file, ...words],
    cwd: paths.directory,
    env: ownEnv(paths),
    output: { file: logFile },
    isOwnGroup: true,
  };
}

/** The service's own program, with what it needs to find its sidecar. */
export function launchApp(
  plan: ServicePlan,
  cwd: string,
  env: Terminal["env"],
  paths: StatePaths,
): ChildOptions | null {
  const { app } = plan.service;
  if (app === null || app.kind === "address") return null;
  const [program, ...args] = app.command;
  return {
    program: program!,
    args,
    cwd,
    env: appEnv(env, plan.appEnv),
    output: { file: join(paths.log, `${fileNameOf(plan.service)}.app.log`) },
    isOwnGroup: true,
  };
}

/** Errors: `bad-input` when an app's program is not there: better said before anything runs. */
export async function assertProgram(title: string, program: string, cwd: string, env: Terminal["env"]): Promise<void> {
  const { PATH: searchPath = "" } = appEnv(env, {});
  if ((await findProgram(program, cwd, searchPath)) !== null) return;
  throw new CardeaError("bad-input", `${title}: there is no program ${program}`);
}

/** What an app inherits from us and is told by us. */
export function appEnv(env: Terminal["env"], told: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const inherited = Object.entries(env).filter(([name, value]) => value !== undefined && !BYPASSES.has(name));
  // `node` in a mesh file means the runtime that came with us, whatever else the machine has.
  const path = [dirname(process.execPath), env["PATH"] ?? ""].join(delimiter);
  return { ...(Object.fromEntries(inherited) as Record<string, string>), PATH: path, ...told };
}

/** They would send an app's requests past its sidecar. */
const BYPASSES = new Set(["no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"]);

/** Our own roles look at no variable: gRPC would obey http_proxy, and Node NODE_OPTIONS. */
function ownEnv(paths: StatePaths): Readonly<Record<string, string>> {
  return { NODE_COMPILE_CACHE: paths.compileCache, ...RUNTIME.env };
}

/** Main and all that a sidecar needs in one file, which takes half as long to load (rolldown.config.js). */
async function sidecarFile(paths: StatePaths): Promise<string> {
  if (extname(import.meta.filename) !== ".ts") return join(import.meta.dirname, "..", "sidecar.js");
  return (await readKind(paths.sidecarFile)) === "file" ? paths.sidecarFile : mainFile();
}

/** src/main.ts in a checkout, dist/main.js in a package: as this file is, so is main. */
function mainFile(): string {
  return join(import.meta.dirname, "..", "..", `main${extname(import.meta.filename)}`);
}
