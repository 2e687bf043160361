import { type Family, formatIptables, formatIptablesCleanup } from "./iptables.ts";
import { formatNftTable, NFT_CLEANUP, NFT_TABLE } from "./nftables.ts";
import type { RedirectSettings } from "./settings.ts";
import { type RedirectHost, type Step, step, type StepResult } from "./step.ts";

/** By what the rules are loaded. All speak to the same kernel, in which each has tables of its own. */
export const BACKENDS = ["nft", "iptables-nft", "iptables-legacy"] as const;
export type BackendName = (typeof BACKENDS)[number];

/** What one backend would do on this machine, or why it cannot. */
export type BackendState =
  | { readonly at: "usable"; readonly load: readonly Step[]; readonly clean: readonly Step[] }
  | { readonly at: "unusable"; readonly why: string };

interface LookOptions {
  readonly host: RedirectHost;
  readonly families: readonly Family[];
  /** Null: nothing is to be loaded. */
  readonly settings: RedirectSettings | null;
  /** Say what would be loaded even where nothing may be asked: as on a machine that holds nothing yet. */
  readonly mayGuess: boolean;
}

export function lookAtBackend(name: BackendName, options: LookOptions): Promise<BackendState> {
  return name === "nft" ? lookAtNft(options) : lookAtIptables(name, options);
}

async function lookAtNft({ host, settings, mayGuess }: LookOptions): Promise<BackendState> {
  const text = settings === null ? null : formatNftTable(settings);
  const load = text === null ? [] : [step("nft", ["-f", "-"], text)];
  if (mayGuess) return { at: "usable", load, clean: [] };
  const tables = await host.run(step("nft", ["list", "tables"]));
  if (tables === null || tables.code !== 0) return unusable("nft", tables);
  if (text !== null) {
    // The kernel looks at it as well, which may lack what it needs.
    const check = await host.run(step("nft", ["-c", "-f", "-"], text));
    if (check === null || check.code !== 0) return unusable("nft", check);
  }
  const isThere = tables.stdout.split("\n").includes(NFT_TABLE);
  return { at: "usable", load, clean: isThere ? [step("nft", ["-f", "-"], NFT_CLEANUP)] : [] };
}

async function lookAtIptables(
  name: Exclude<BackendName, "nft">,
  { host, families, settings, mayGuess }: LookOptions,
): Promise<BackendState> {
  const load: Step[] = [];
  const clean: Step[] = [];
  for (const family of families) {
    const program = family === 4 ? name : name.replace("iptables", "ip6tables");
    const saved = mayGuess ? NOTHING : await host.run(step(`${program}-save`, ["-t", "nat"]));
    if (saved === null || saved.code !== 0) return unusable(`${program}-save`, saved);
    const restore = (text: string) => step(`${program}-restore`, ["--noflush", ...WAIT[name]], text);
    if (settings !== null) load.push(restore(formatIptables(settings, family, saved.stdout)));
    const cleanup = formatIptablesCleanup(saved.stdout);
    if (cleanup !== null) clean.push(restore(cleanup));
  }
  return { at: "usable", load, clean };
}

/** Of the old tables there is one writer at a time, by a lock; the others know transactions. */
const WAIT: Readonly<Record<Exclude<BackendName, "nft">, readonly string[]>> = {
  "iptables-nft": [],
  "iptables-legacy": ["--wait", "10"],
};

const NOTHING: StepResult = { code: 0, stdout: "", stderr: "" };

function unusable(program: string, result: StepResult | null): BackendState {
  if (result === null) return { at: "unusable", why: `there is no program ${program}` };
  const line = result.stderr.split("\n").find((each) => each.trim() !== "");
  return { at: "unusable", why: `${program}: ${line?.trim() ?? `ended with ${result.code}`}` };
}
