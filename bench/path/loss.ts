import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { CompareArguments } from "./arguments.ts";
import { findProgram, fetchPackaged } from "./programs.ts";
import type { LoadResult } from "./rounds.ts";
import type { Absent } from "./side.ts";

/** What the process in the namespace is told, as one JSON word. */
export interface LossTask {
  readonly wanted: CompareArguments;
  readonly directory: string;
  readonly nft: string;
}

/** What it says: results without their maps. */
export type LossAnswer = readonly (Omit<LoadResult, "bySide"> & {
  readonly bySide: readonly (readonly [
    string,
    LoadResult["bySide"] extends ReadonlyMap<string, infer Rounds> ? Rounds : never,
  ])[];
})[];

/**
 * Runs the loads with packet loss in a network namespace without a name, which ends with its last process. Neither the
 * machine's network nor its packet filter is touched. Gives the reason where that can't be done.
 */
export async function runLossLoads(
  wanted: CompareArguments,
  directory: string,
): Promise<readonly LoadResult[] | Absent> {
  const nft = await findNft();
  if (typeof nft !== "string") return nft;
  const task: LossTask = { wanted, directory, nft };
  const script = join(import.meta.dirname, "loss-namespace.ts");
  // Its standard input is its life line: it ends what it has started when ours is gone.
  const child = spawn("unshare", ["--net", process.execPath, script, JSON.stringify(task)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (code !== 0) return { absent: `the process in the namespace ended with ${String(code)}` };
  return (JSON.parse(said) as LossAnswer).map((result) => ({ ...result, bySide: new Map(result.bySide) }));
}

/** Where nft is; or why no packets can be lost here. */
async function findNft(): Promise<string | Absent> {
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    return { absent: "network namespaces need root on Linux" };
  const nft = await findProgram({
    name: "nft",
    variable: "NFT",
    versionWords: ["--version"],
    versionPattern: /v(\d[\w.]*)/,
    fetch: () => fetchPackaged("nft", ["nftables"]),
  });
  if ("absent" in nft) return nft;
  const tried = "ip link set lo up mtu 1500 gso_max_segs 1 && nft add table inet bench";
  const words = ["--net", "sh", "-c", tried.replace("nft ", `'${nft.program}' `)];
  const { status, stderr, error } = spawnSync("unshare", words, { encoding: "utf8" });
  if (status === 0) return nft.program;
  return { absent: `no network namespace with a packet filter: ${String(error ?? stderr).trim()}` };
}
