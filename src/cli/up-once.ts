import { toCardeaError } from "../core/errors.ts";
import type { Address } from "../core/ports.ts";
import { systemClock } from "../io/clock.ts";
import type { AttemptReport } from "./local/breach-report.ts";
import { runBreach } from "./local/breach-process.ts";
import { openFlowReader } from "./local/flow-reader.ts";
import { findSampleWeb } from "./local/sample.ts";
import { type Summary, type Span, summarize } from "./local/summary.ts";
import { visitShop } from "./local/traffic.ts";
import { showAttempt } from "./local/show-attempt.ts";
import type { RunningUp } from "./up.ts";

const ROUNDS = 5;

/** Drives the sample traffic, plays the breach, ends the mesh and says what was seen. 0 when all was as expected. */
export async function driveOnce(up: RunningUp): Promise<0 | 1> {
  const flows = await openFlowReader(up.plan.services.map((service) => service.config.flowFile ?? ""));
  const failures: string[] = [];
  const traffic = await driveTraffic(up, failures);
  const attempts = await driveBreach(up, failures);
  // Ended first, read then: sidecars write their last records as they drain.
  await up.mesh.close();
  const summary = summarize({ records: await flows.read(), failures, attempts, traffic });
  showSummary(summary, up);
  return summary.unexpected === 0 ? 0 : 1;
}

async function driveTraffic(up: RunningUp, failures: string[]): Promise<Span> {
  const fromMs = systemClock.wallMs();
  const web = findSampleWeb(up.plan);
  if (web !== null) await visitOften(web, up, failures);
  return { fromMs, toMs: systemClock.wallMs() };
}

async function visitOften(web: Address, { signal }: RunningUp, failures: string[]): Promise<void> {
  for (let round = 0; round < ROUNDS && !signal.aborted; round++) failures.push(...(await visitShop(web)).failures);
}

async function driveBreach(up: RunningUp, failures: string[]): Promise<readonly AttemptReport[]> {
  if (findSampleWeb(up.plan) === null || up.signal.aborted) return [];
  try {
    const attempts = await runBreach(up.paths, systemClock);
    for (const attempt of attempts) showAttempt(attempt, up);
    return attempts;
  } catch (error) {
    failures.push(toCardeaError(error).message);
    return [];
  }
}

function showSummary(summary: Summary, { terminal, isJson }: RunningUp): void {
  for (const failure of summary.failures) terminal.stderr(failure);
  if (isJson) {
    terminal.stdout(JSON.stringify(summary));
    return;
  }
  terminal.stdout(`${summary.allowed} allowed, ${summary.denied} denied, ${summary.unexpected} unexpected`);
  for (const identity of summary.identities) terminal.stdout(`  ${identity}`);
}
