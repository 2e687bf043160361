import { toCardeaError } from "../core/errors.ts";
import { systemClock } from "../io/clock.ts";
import { formatFlowLine } from "../observe/flow-line.ts";
import { runBreach } from "./local/breach-process.ts";
import { openFlowReader } from "./local/flow-reader.ts";
import { findSampleWeb } from "./local/sample.ts";
import { showAttempt } from "./local/show-attempt.ts";
import { keepVisiting } from "./local/traffic.ts";
import type { RunningUp } from "./up.ts";

const POLL_MS = 100;

/** Shows the mesh and what goes on in it until ^C or SIGTERM, then ends it. */
export async function followMesh(up: RunningUp): Promise<0> {
  const flows = await openFlowReader(up.plan.services.map((service) => service.config.flowFile ?? ""));
  const web = findSampleWeb(up.plan);
  up.terminal.stdout(JSON.stringify({ event: "up", ...up.mesh.run() }));
  const visiting = web === null ? null : keepVisiting(web, systemClock, (line) => up.terminal.stderr(line));
  const breach = web === null ? Promise.resolve() : showBreach(up);
  while (!up.signal.aborted) {
    for (const record of await flows.read()) up.terminal.stdout(formatFlowLine(record));
    await pause(up.signal);
  }
  await visiting?.close();
  await breach;
  await up.mesh.close();
  return 0;
}

async function showBreach(up: RunningUp): Promise<void> {
  try {
    for (const report of await runBreach(up.paths, systemClock)) showAttempt(report, up);
  } catch (error) {
    if (!up.signal.aborted) up.terminal.stderr(toCardeaError(error).message);
  }
}

/** Until the next look, or the end. */
function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = systemClock.setTimer(POLL_MS, resolve);
    signal.addEventListener(
      "abort",
      () => {
        timer.cancel();
        resolve();
      },
      { once: true },
    );
  });
}
