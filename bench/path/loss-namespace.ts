import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { LOSS_LOADS } from "./loads.ts";
import type { LossAnswer, LossTask } from "./loss.ts";
import { openSides } from "./open-sides.ts";
import { peersFor, sidesFor } from "./quick-budget.ts";
import { type LoadResult, runLoad } from "./rounds.ts";
import type { RunningSide } from "./side.ts";

// The bench's other half, in a network namespace of its own: all sides on its loopback, where packets between the two
// sidecars of a pair get lost. Prints what was measured as JSON; ends when its standard input does.

const WARM_UP_SEC = 1;
const report = (line: string): void => void process.stderr.write(`${line}\n`);

/** Packets as a network has them: at most 1,500 octets each, lost one by one. */
function setUpLoopback(): void {
  run("ip", ["link", "set", "lo", "up", "mtu", "1500", "gso_max_segs", "1"], "");
}

/**
 * Loses so many of a thousand packets between the sidecars, either way. On the way in: what is dropped on the way out is
 * told to the sender, so it is not lost.
 */
function losePackets(nft: string, sides: readonly RunningSide[], perMille: number): void {
  const ports = sides.map(({ betweenPort }) => betweenPort).join(", ");
  const lose = (which: string): string =>
    `tcp ${which} { ${ports} } counter numgen random mod 1000 < ${perMille} counter drop`;
  run(
    nft,
    ["-f", "-"],
    `table inet bench {}
delete table inet bench
table inet bench {
  chain lose {
    type filter hook input priority 0; policy accept;
    ${lose("dport")}
    ${lose("sport")}
  }
}
`,
  );
}

/** How many packets passed the filter and how many it dropped, in words. */
function describeLoss(nft: string): string {
  const listed = run(nft, ["list", "table", "inet", "bench"], "");
  const counts = [...listed.matchAll(/counter packets (\d+)/g)].map((match) => Number(match[1]));
  const [toServer = 0, lostThere = 0, toCaller = 0, lostBack = 0] = counts;
  return `${lostThere + lostBack} of ${toServer + toCaller} packets were lost`;
}

function run(program: string, words: readonly string[], input: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, [...words], { input, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${words.join(" ")}: ${String(error ?? stderr)}`);
  return stdout;
}

async function main({ wanted, directory, nft }: LossTask): Promise<LossAnswer> {
  setUpLoopback();
  const place = join(directory, "loss");
  mkdirSync(place, { recursive: true });
  const loads = LOSS_LOADS.filter(({ name }) => wanted.loads.includes(name));
  const opened = await openSides({ directory: place, peers: peersFor(loads, wanted), report: () => {} });
  // Whoever began this is gone.
  process.stdin.on("end", () => void opened.close().then(() => process.exit(1))).resume();
  try {
    const sides = opened.sides.filter(({ betweenPort }) => betweenPort !== null);
    for (const side of sides) await loads[0]?.measure(side, WARM_UP_SEC);
    const results: LoadResult[] = [];
    for (const load of loads) {
      report(load.summary);
      losePackets(nft, sides, load.lostPerMille);
      results.push(await runLoad(load, sidesFor(load, sides, wanted.isQuick), { ...wanted, report }));
      report(describeLoss(nft));
    }
    return results.map((result) => ({ ...result, bySide: [...result.bySide] }));
  } finally {
    await opened.close();
  }
}

const answer = await main(JSON.parse(process.argv[2]!) as LossTask);
process.stdout.write(JSON.stringify(answer), () => process.exit(0));
