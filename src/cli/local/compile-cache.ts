import { extname } from "node:path";
import { devNull } from "node:os";
import { startChild } from "../../io/child-processes.ts";
import { readKind } from "../../io/files.ts";
import type { StatePaths } from "../state-dir.ts";
import { launchCardea } from "./launch.ts";

/**
 * Lets one process load what every sidecar loads, with the sidecars' own flags, so that Node keeps what it has made of
 * the TypeScript: 0.45 s and 28 MB less for each of them. It runs beside the control plane's start, once in the life of
 * a state directory; compiled JavaScript needs none of it. A failure costs only what would have been saved.
 */
export async function warmCompileCache(paths: StatePaths): Promise<void> {
  if (extname(import.meta.filename) !== ".ts" || (await readKind(paths.compileCache)) === "directory") return;
  const child = await startChild(launchCardea(["proxy", "--help"], devNull, paths));
  await child.exited;
}
