import { describeLoadAverage, describeMachine } from "../path/machine.ts";
import type { ChurnResult, KindResult, StormResult } from "./churn.ts";
import type { CompileResult } from "./compile.ts";
import type { IssueResult } from "./issue.ts";
import type { RenewalsResult } from "./renewals.ts";

/** The tables of a run in Markdown. */
export function formatChurn(result: ChurnResult): string {
  const { args, rssMiB, slow, kinds, storms } = result;
  const perSidecar = ((rssMiB.connected - rssMiB.idle) * 1_024) / args.sidecars;
  const lines = [
    whereAndWhen(),
    `${args.sidecars} sidecars, ${args.services} services, ${args.policies} policies; the simulated sidecars run on the same cores.`,
    "",
    table(
      ["change", "times", "last p50", "p99", "worst", "CPU ms", "messages", "kB", "concerns", "touched"],
      kinds.map(kindRow),
    ),
    "",
    table(["storm", "until all are in sync", "CPU s", "MB sent", "RSS MiB after"], storms.map(stormRow)),
    "",
    `Ready ${(result.readyMs / 1_000).toFixed(1)} s after its start. Memory (RSS): ${mib(rssMiB.idle)} idle, ${mib(rssMiB.connected)} with all connected,`,
    `${perSidecar.toFixed(0)} KiB a sidecar, ${mib(rssMiB.peak)} at the peak. ${result.idleCpuMsPerSecond.toFixed(0)} ms of processor time a second while nothing changes.`,
  ];
  if (slow !== null)
    lines.push(
      `With ${slow.count} sidecars that read nothing: the others' worst is ${slow.lastMs.toFixed(0)} ms, memory ${mib(slow.rssMiB)}.`,
    );
  lines.push(result.isConsistent ? "At the end all held the same." : "AT THE END THEY DID NOT HOLD THE SAME.");
  return lines.join("\n");
}

/** What one core issues. */
export function formatIssue({
  args,
  issued,
  failed,
  seconds,
  cpuMs,
  perCoreSecond,
  p50Ms,
  p99Ms,
  rssMiB,
}: IssueResult): string {
  return [
    whereAndWhen(),
    "",
    `${args.sidecars} sidecars on kept connections, two calls at a time each: ${issued} certificates in ${seconds.toFixed(1)} s (${(issued / seconds).toFixed(0)}/s), ${failed} failed.`,
    `**${perCoreSecond.toFixed(0)} certificates for each second of the control plane's processor time** (${(cpuMs / Math.max(1, issued)).toFixed(2)} ms each);`,
    `latency p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms with as many waiting; ${mib(rssMiB)}.`,
  ].join("\n");
}

/** How renewals are spread. */
export function formatRenewals({ sidecars, mean, worstOfHour }: RenewalsResult): string {
  const hours = worstOfHour.map((worst) => worst.toFixed(1)).join(", ");
  return [
    `${sidecars} sidecars that got their first certificate within one minute, certificates of an hour: ${mean.toFixed(1)} renewals a second`,
    `on average; the worst second of each hour from the first on, as a multiple of that: ${hours}.`,
  ].join("\n");
}

/** What policies cost. */
export function formatCompile(result: CompileResult): string {
  const { changeMs } = result;
  return [
    whereAndWhen(),
    `${result.policies} policies, ${result.workloads} workloads; processor time of one thread.`,
    "",
    table(
      ["step", "all", "after a change of one"],
      [
        ["texts to documents", ms(result.readMs), ms(changeMs.read)],
        ["documents to what is sent", ms(result.encodeMs), ms(changeMs.encode)],
        ["which of them each workload gets, and its set", ms(result.selectMs), ms(changeMs.select)],
        ["compiled by each sidecar for itself, all sidecars together", ms(result.compileMs), ""],
        ["compiled if all of them selected one workload", ms(result.compileAllMs), ""],
      ],
    ),
  ].join("\n");
}

function whereAndWhen(): string {
  const day = new Date().toISOString().slice(0, 10);
  return `${day}, Node ${process.versions.node}, ${describeMachine()}, ${describeLoadAverage()}.`;
}

function kindRow(kind: KindResult): readonly string[] {
  const { p50, p99, worst } = kind.lastMs;
  const missing = kind.missing === 0 ? "" : ` (${kind.missing} MISSING)`;
  return [
    kind.name,
    String(kind.changes),
    ...[p50, p99, worst].map(ms),
    kind.cpuMs.toFixed(1),
    kind.messages.toFixed(0),
    kind.kilobytes.toFixed(1),
    `${kind.concerned.toFixed(0)}${missing}`,
    String(kind.touched),
  ];
}

function stormRow({ name, allMs, cpuMs, megabytes, rssMiB }: StormResult): readonly string[] {
  return [name, `${(allMs / 1_000).toFixed(1)} s`, (cpuMs / 1_000).toFixed(1), megabytes.toFixed(1), rssMiB.toFixed(0)];
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}

function mib(value: number): string {
  return `${value.toFixed(0)} MiB`;
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(header), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
