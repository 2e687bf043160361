import { parseArgs } from "node:util";
import { describeLoadAverage, describeMachine } from "../../path/machine.ts";
import { writeReadmeSection } from "../../path/readme.ts";
import { measureMix, type MixCost } from "./measure.ts";
import { MIXES } from "./mixes.ts";

// npm run bench:micro: what a decision costs by the number of rules. Nothing fails here, speed is told and not tested.

const USAGE = "npm run bench:micro -- [--mix TEXT] [--sizes 10,100,1000,10000] [--readme]";

function main(): number {
  const { values } = parseArgs({
    options: {
      mix: { type: "string", default: "" },
      sizes: { type: "string", default: "10,100,1000,10000" },
      readme: { type: "boolean", default: false },
    },
  });
  const sizes = values.sizes.split(",").map(Number);
  const mixes = MIXES.filter(({ name }) => name.includes(values.mix));
  if (!sizes.every((size) => Number.isSafeInteger(size) && size > 0) || mixes.length === 0) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  // The engine compiles while it runs: the first mix would pay for all.
  for (const mix of mixes) measureMix(mix, [10, 100]);
  const rows = mixes.map((mix) => [nameOf(mix), ...rowOf(measureMix(mix, sizes))]);
  const text = [
    `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${describeMachine()}, ${describeLoadAverage()}.`,
    "",
    ...table(["rules of", ...headerOf(sizes)], rows),
  ].join("\n");
  process.stdout.write(`${text}\n`);
  if (values.readme) writeReadmeSection("micro", text);
  return 0;
}

function nameOf({ name, isWorst }: (typeof MIXES)[number]): string {
  return isWorst ? `*${name}*` : name;
}

function headerOf(sizes: readonly number[]): readonly string[] {
  const all = sizes.map(String).join(" / ");
  return [
    `ns, a rule fits: ${all}`,
    "ratio",
    `ns, none fits: ${all}`,
    "ratio",
    "new peer µs",
    "compile ms",
    "one changed, ms",
  ];
}

function rowOf(costs: readonly MixCost[]): readonly string[] {
  const surprises = costs.reduce((sum, cost) => sum + cost.surprises, 0);
  return [
    ...series(costs.map((cost) => cost.hitNs)),
    ...series(costs.map((cost) => cost.missNs)),
    costs.map((cost) => cost.bindUs.toFixed(1)).join(" / "),
    costs.at(-1)!.compileMs.toFixed(0) + (surprises === 0 ? "" : ` (${surprises} NOT AS EXPECTED)`),
    costs.at(-1)!.changeMs.toFixed(1),
  ];
}

function series(values: readonly number[]): readonly string[] {
  return [values.map((value) => value.toFixed(0)).join(" / "), (values.at(-1)! / values[0]!).toFixed(2)];
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  return [header, header.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
}

process.exitCode = main();
