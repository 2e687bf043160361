import { relative } from "node:path";
import { toCardeaError } from "../core/errors.ts";
import { systemClock } from "../io/clock.ts";
import { preferredGroup } from "../io/tls.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { formatFlowLine } from "../observe/flow-line.ts";
import { type BoardTry, curlThrough, renderBoard } from "./board.ts";
import { followFlows } from "./flow-follow.ts";
import { LivePairing } from "./flow-pairing.ts";
import { renderFlow, renderFlowHeader } from "./flow-row.ts";
import { runBreach } from "./local/breach-process.ts";
import { readRootFingerprint } from "./local/root-fingerprint.ts";
import { findSampleWeb } from "./local/sample.ts";
import { showAttempt } from "./local/show-attempt.ts";
import { keepVisiting } from "./local/traffic.ts";
import { explainLine, programName } from "./program-name.ts";
import type { RunningUp } from "./up.ts";

/** Shows the mesh and what goes on in it until ^C or SIGTERM, then ends it. */
export async function followMesh(up: RunningUp): Promise<0> {
  const { terminal, paths, signal, mesh } = up;
  const web = findSampleWeb(up.plan);
  await showMesh(up);
  const show = up.isJson ? showAsJson(up) : showAsRows(up);
  const following = await followFlows(paths.flows, systemClock, show);
  const visiting = web === null ? null : keepVisiting(web, systemClock, (line) => terminal.stderr(line));
  const breach = web === null ? Promise.resolve() : showBreach(up);
  await aborted(signal);
  await visiting?.close();
  await breach;
  await mesh.close();
  await following.close();
  return 0;
}

async function showMesh(up: RunningUp): Promise<void> {
  const { terminal, mesh } = up;
  const run = mesh.run();
  if (up.isJson) {
    terminal.stdout(JSON.stringify({ event: "up", ...run }));
    return;
  }
  const facts = {
    mesh: run.mesh,
    services: run.services,
    rootFingerprint: await readRootFingerprint(up.paths.rootFile),
    keyExchange: preferredGroup(),
    map: run.control.map,
    policiesDirectory: shorter(run.policiesDirectory, terminal.cwd),
    stateDirectory: shorter(up.paths.directory, terminal.cwd),
    tries: findSampleWeb(up.plan) === null ? [] : sampleTries(up),
    program:
      up.shownState === null ? programName(terminal.env) : `CARDEA_STATE=${up.shownState} ${programName(terminal.env)}`,
  };
  for (const line of renderBoard(facts, terminal)) terminal.stdout(line);
}

/** The moment of denial, ready to be pasted. */
function sampleTries({ mesh, terminal, shownState }: RunningUp): readonly BoardTry[] {
  const web = mesh.run().services.find((service) => service.name === "web");
  if (web === undefined) return [];
  return [
    { says: "web asks orders: allowed", line: curlThrough(web.outbound, "http://orders.shop:8080/orders") },
    {
      says: "web asks for payments' admin page: denied",
      line: curlThrough(web.outbound, "http://payments.payments:8080/admin/refunds"),
    },
    { says: "and why", line: explainLine("ID", terminal.env, shownState) },
  ];
}

function shorter(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return near !== "" && near.length < path.length ? near : path;
}

function showAsJson({ terminal }: RunningUp): (flows: readonly FlowRecord[]) => void {
  return (flows) => {
    for (const flow of flows) terminal.stdout(formatFlowLine(flow));
  };
}

function showAsRows({ terminal }: RunningUp): (flows: readonly FlowRecord[]) => void {
  terminal.stdout(renderFlowHeader(terminal.width, terminal.colour));
  const pairing = new LivePairing();
  return (flows) => {
    for (const flow of pairing.pass(flows, systemClock.monotonicMs()))
      terminal.stdout(renderFlow(flow, terminal.width, terminal.colour));
  };
}

/** Played once, when the shop has been seen at work. */
async function showBreach(up: RunningUp): Promise<void> {
  try {
    const reports = await runBreach(up.paths, systemClock);
    if (!up.isJson) up.terminal.stdout("\n the breach of web, played by code in its place:");
    for (const report of reports) showAttempt(report, up);
  } catch (error) {
    if (!up.signal.aborted) up.terminal.stderr(toCardeaError(error).message);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
