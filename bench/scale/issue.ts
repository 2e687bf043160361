import { fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keepUntilExit } from "../path/child.ts";
import type { ScaleArguments } from "./arguments.ts";
import { startControl } from "./control-process.ts";
import { withTokens } from "./fleet.ts";
import { createWorld } from "./world.ts";

/** What one control plane issues over kept, attested connections. */
export interface IssueResult {
  readonly args: ScaleArguments;
  readonly issued: number;
  readonly failed: number;
  readonly seconds: number;
  readonly cpuMs: number;
  /** Issued for each second of the control plane's processor time: what one core gives. */
  readonly perCoreSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly rssMiB: number;
}

/** What the caller's process is given, and gives back. */
export interface IssueOrder {
  readonly sidecars: Awaited<ReturnType<typeof withTokens>>;
  readonly control: { readonly address: { readonly host: string; readonly port: number }; readonly spiffeId: string };
  readonly rootPem: string;
  readonly seconds: number;
}

export interface IssueAnswer {
  readonly at: "joined" | "done";
  readonly issued: number;
  readonly failed: number;
  readonly seconds: number;
  readonly latenciesMs: readonly number[];
}

/** Sidecars with certificates keep their connections and ask for one after the other. */
export async function runIssue(args: ScaleArguments, log: (line: string) => void): Promise<IssueResult> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-scale-"));
  const world = createWorld({ ...args, services: args.sidecars, policies: 1 });
  const control = await startControl(directory, world);
  try {
    const rootPem = readFileSync(join(control.stateDir, "ca", "root.pem"), "utf8");
    const sidecars = await withTokens(world.sidecars, control.stateDir);
    let cpuBefore = 0;
    const answer = await ask({ sidecars, control: control.place, rootPem, seconds: args.seconds }, () => {
      cpuBefore = control.cpuMs();
      log(`${args.sidecars} sidecars hold a certificate and ask for the next`);
    });
    const cpuMs = control.cpuMs() - cpuBefore;
    const { issued, failed, seconds } = answer;
    const sorted = answer.latenciesMs.toSorted((a, b) => a - b);
    const at = (fraction: number): number => sorted[Math.floor(fraction * (sorted.length - 1))] ?? Number.NaN;
    const perCoreSecond = (issued * 1_000) / cpuMs;
    return {
      args,
      issued,
      failed,
      seconds,
      cpuMs,
      perCoreSecond,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      rssMiB: control.rssMiB(),
    };
  } finally {
    await control.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function ask(order: IssueOrder, onJoined: () => void): Promise<IssueAnswer> {
  const child = fork(join(import.meta.dirname, "issue-caller.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  keepUntilExit(child);
  return new Promise((resolve, reject) => {
    child.on("message", (answer: IssueAnswer) => (answer.at === "joined" ? onJoined() : resolve(answer)));
    child.once("exit", () => reject(new Error("the callers have ended")));
    child.send(order);
  });
}
