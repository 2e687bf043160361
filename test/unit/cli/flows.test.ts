import { appendFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { command } from "../../../src/cli/flows.ts";
import type { FlowRecord } from "../../../src/observe/flow.ts";
import { formatFlowLine, parseFlowLine } from "../../../src/observe/flow-line.ts";
import { type FlowState, makeFlowState } from "../../support/flow-state.ts";
import { type KeptTerminal, keptTerminal, runCommand } from "../../support/kept-terminal.ts";
import { PAYMENTS, sampleFlow } from "../../support/sample-flow.ts";

let state: FlowState;
let terminal: KeptTerminal;
beforeEach(() => {
  state = makeFlowState();
  terminal = keptTerminal({ width: 120 });
});
afterEach(() => state.remove());

const now = Date.now();

/** A flow so many seconds ago. */
function flow(id: string, secondsAgo: number, changes: Partial<FlowRecord> = {}): FlowRecord {
  return sampleFlow({
    id,
    timeMs: now - secondsAgo * 1_000,
    traceId: null,
    spanId: null,
    parentSpanId: null,
    ...changes,
  });
}

const LEDGER = { ...PAYMENTS, workload: "ledger", namespace: "ledger", service: "ledger.ledger.svc.cluster.local" };
const PAIR = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736" };

describe("cardea flows", () => {
  test("merges all sidecars' files, rotated ones included, by time", async () => {
    state.writeFlows("web.jsonl", [flow("a", 50), flow("d", 20)]);
    state.writeFlows("web.jsonl.1", [flow("0", 90), flow("1", 80)]);
    state.writeFlows("payments.jsonl", [flow("b", 40), flow("c", 30), flow("e", 10)]);
    expect(await idsFor()).toEqual(["0", "1", "a", "b", "c", "d", "e"]);
  });

  test("shows a request once, and both records when asked for all", async () => {
    state.writeFlows("web.jsonl", [flow("s", 9, { ...PAIR, reporter: "source", spanId: "aa" })]);
    state.writeFlows("payments.jsonl", [flow("d", 10, { ...PAIR, parentSpanId: "aa" })]);
    expect(await idsFor()).toEqual(["d"]);
    expect(await idsFor("--all")).toEqual(["d", "s"]);
  });

  test.each([
    [
      ["--last", "2"],
      ["d", "e"],
    ],
    [["--last", "0"], []],
    [
      ["--verdict", "allowed"],
      ["a", "e"],
    ],
    [
      ["--verdict", "would-deny,error"],
      ["b", "d"],
    ],
    [
      ["--verdict", "denied", "--verdict", "error"],
      ["c", "d"],
    ],
    [["--verdict", "allowed", "--last", "1"], ["e"]],
    [["--service", "ledger"], ["b"]],
    [["--service", "ledger.ledger"], ["b"]],
    [["--service", "ledger/ledger"], ["b"]],
    [["--service", "ledger.ledger.svc.cluster.local"], ["b"]],
    [
      ["--service", "spiffe://cluster.local/ns/shop/sa/web"],
      ["a", "b", "c", "d", "e"],
    ],
    [["--service", "web", "--verdict", "denied"], ["c"]],
    [["--service", "ledg"], []],
    [
      ["--since", "35s"],
      ["c", "d", "e"],
    ],
    [
      ["--since", "1m"],
      ["a", "b", "c", "d", "e"],
    ],
    [
      ["--since", new Date(now - 25_000).toISOString()],
      ["d", "e"],
    ],
    [["--since", "35s", "--last", "1"], ["e"]],
  ])("takes what %j asks for", async (words, ids) => {
    state.writeFlows("x.jsonl", [
      flow("a", 50, { verdict: "allowed" }),
      flow("b", 40, { verdict: "would-deny", destination: LEDGER }),
      flow("c", 30, { verdict: "denied" }),
      flow("d", 20, { verdict: "error" }),
      flow("e", 10, { verdict: "allowed" }),
    ]);
    expect(await idsFor(...words)).toEqual(ids);
  });

  test("shows the newest twenty unless told otherwise", async () => {
    state.writeFlows(
      "x.jsonl",
      Array.from({ length: 60 }, (_, index) => flow(`${index}`, 100 - index)),
    );
    expect(await idsFor()).toEqual(Array.from({ length: 20 }, (_, index) => `${index + 40}`));
  });

  test("passes over torn and foreign lines", async () => {
    state.writeFlows("x.jsonl", [flow("a", 50), '{"time":"2026-11', "", "null", flow("b", 40), '{"hello":1}']);
    expect(await idsFor()).toEqual(["a", "b"]);
  });

  test("prints rows with a title and the next step", async () => {
    state.writeFlows("x.jsonl", [flow("9f1c2a7be03d4455", 1)]);
    await runCommand(command, ["--state", state.directory], terminal);
    expect(terminal.out[0]).toMatch(/^AT +VERDICT +FROM → TO/);
    expect(terminal.out[1]).toMatch(/ denied +web → payments +GET \/admin\/refunds +403 no-allow-rule-matched /);
    expect(terminal.err.join("\n")).toContain(`why? cardea explain 9f1c2a7be03d4455 --state ${state.directory}`);
  });

  test("prints the records as they are with -o json, and words with -o compact", async () => {
    state.writeFlows("x.jsonl", [flow("a", 1)]);
    await runCommand(command, ["--state", state.directory, "-o", "json"], terminal);
    expect(parseFlowLine(terminal.out[0]!)).toEqual(flow("a", 1));
    await runCommand(command, ["--state", state.directory, "-o", "compact"], terminal);
    expect(terminal.out[1]).toMatch(/^time=\S+ id=a reporter=destination verdict=denied /);
  });

  test("says when there is nothing, and where it looked", async () => {
    state.writeFlows("x.jsonl", []);
    expect(await runCommand(command, ["--state", state.directory], terminal)).toBe(0);
    expect(terminal.out).toEqual([]);
    expect(terminal.err).toEqual([expect.stringContaining("looked in 1 flow file in")]);
  });

  test.each([
    [["--verdict", "denid"], "did you mean denied?"],
    [["--verdict", ""], "--verdict is one of"],
    [["--last", "-1"], "--last"],
    [["--last", "many"], "--last"],
    [["--last", "99999999"], "--last"],
    [["--since", "yesterday"], "--since"],
    [["--since", "5 m"], "--since"],
    [["--since", "2026-13-45"], "--since"],
    [["--output", "xml"], "--output is table, json, compact, dict"],
    [["extra"], "unexpected argument"],
  ])("refuses %j with exit code 2", async (words, message) => {
    expect(await runCommand(command, ["--state", state.directory, ...words], terminal)).toBe(2);
    expect(terminal.err).toEqual([expect.stringContaining(message)]);
  });

  test("cannot reach a mesh that is not there: exit code 3", async () => {
    expect(await runCommand(command, ["--state", join(state.directory, "none")], terminal)).toBe(3);
  });
});

describe("cardea flows --follow", () => {
  test("goes on with what happens, of sidecars that come later too, across a rotation, and ends with ^C", async () => {
    const web = join(state.directory, "flows", "web.jsonl");
    state.writeFlows("web.jsonl", [flow("a", 50), flow("b", 40)]);
    const ended = runCommand(command, ["--state", state.directory, "--follow", "--last", "1", "--json"], terminal);
    await seen("b");
    append(web, flow("c", 3));
    await seen("c");
    writeFileSync(join(state.directory, "flows", "late.jsonl"), `${formatFlowLine(flow("d", 2))}\n`);
    await seen("d");
    append(web, flow("e", 1));
    renameSync(web, `${web}.1`);
    append(web, flow("f", 0));
    await seen("f");
    terminal.interrupt();
    expect(await ended).toBe(0);
    expect(idsOut()).toEqual(["b", "c", "d", "e", "f"]);
  });

  test("shows only what was asked for, and each request once", async () => {
    const web = join(state.directory, "flows", "web.jsonl");
    state.writeFlows("web.jsonl", []);
    const words = ["--state", state.directory, "--follow", "--json", "--verdict", "denied,error"];
    const ended = runCommand(command, words, terminal);
    append(web, flow("no", 1, { verdict: "allowed" }));
    append(web, flow("d", 1, { ...PAIR, parentSpanId: "aa" }));
    append(web, flow("s", 1, { ...PAIR, reporter: "source", spanId: "aa", verdict: "error" }));
    append(web, flow("z", 0, { reporter: "source", verdict: "error", spanId: "zz", traceId: "t" }));
    await seen("z");
    terminal.interrupt();
    expect(await ended).toBe(0);
    expect(idsOut()).toEqual(["d", "z"]);
  });
});

async function idsFor(...words: readonly string[]): Promise<string[]> {
  terminal.out.length = 0;
  expect(await runCommand(command, ["--state", state.directory, "--json", ...words], terminal)).toBe(0);
  return idsOut();
}

function idsOut(): string[] {
  return terminal.out.map((line) => (JSON.parse(line) as { id: string }).id);
}

async function seen(id: string): Promise<void> {
  await vi.waitFor(() => expect(idsOut()).toContain(id), { interval: 5, timeout: 5_000 });
}

function append(path: string, record: FlowRecord): void {
  appendFileSync(path, `${formatFlowLine(record)}\n`);
}
