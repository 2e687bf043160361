import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { command } from "../../../src/cli/flows.ts";
import { readStoreBackward, sieveFor, withoutTwins } from "../../../src/cli/stored-flows.ts";
import { readFlowQuery, writeFlowQuery } from "../../../src/control/flows/flow-query-text.ts";
import { flowRoutes } from "../../../src/control/flows/flow-routes.ts";
import type { FlowFilter, FlowQueries } from "../../../src/control/flows/query.ts";
import { FlowStore } from "../../../src/control/flows/store.ts";
import type { Listening } from "../../../src/core/ports.ts";
import { openDatabaseFiles } from "../../../src/io/database-files.ts";
import { openHttpAdmin } from "../../../src/io/http-admin.ts";
import type { FlowRecord } from "../../../src/observe/flow.ts";
import { type FlowState, makeFlowState } from "../../support/flow-state.ts";
import { type KeptTerminal, keptTerminal, runCommand } from "../../support/kept-terminal.ts";
import { PAYMENTS, sampleFlow } from "../../support/sample-flow.ts";

const now = Date.now();

let state: FlowState;
let terminal: KeptTerminal;
let directory: string;
let store: FlowStore;
let admin: Listening;

beforeEach(async () => {
  state = makeFlowState();
  terminal = keptTerminal({ width: 120 });
  directory = mkdtempSync(join(tmpdir(), "cardea-store-"));
  const files = openDatabaseFiles(directory, ".db");
  store = new FlowStore({ files, retentionMs: 1e12, bytesMax: 1e9, nowMs: () => now, log: () => {} });
  const queries: FlowQueries = {
    decisions: () => Promise.reject(new Error("not asked for")),
    edges: (query) => Promise.resolve(store.edges(query)),
    flows: async (query) => Promise.resolve(store.flows(query)),
    flow: (id, namespaces) => Promise.resolve(store.find(id, namespaces)),
    follow: () => () => {},
    span: () => Promise.resolve(store.span()),
  };
  admin = await openHttpAdmin({ at: { host: "127.0.0.1", port: 0 }, routes: flowRoutes(queries), hosts: "loopback" });
  const file = join(state.directory, "run.json");
  const run = JSON.parse(readFileSync(file, "utf8")) as object;
  const control = { flows: { host: "127.0.0.1", port: 1 }, admin: admin.address };
  writeFileSync(file, JSON.stringify({ ...run, up: { pid: 1, startTime: "1" }, control }));
});

afterEach(async () => {
  await admin.close();
  store.close();
  state.remove();
  rmSync(directory, { recursive: true });
});

/** A flow so many seconds ago, of a request of its own. */
function flow(id: number, secondsAgo: number, changes: Partial<FlowRecord> = {}): FlowRecord {
  const name = id.toString(16).padStart(16, "0");
  const alone = { traceId: null, spanId: null, parentSpanId: null };
  return sampleFlow({ id: name, timeMs: now - secondsAgo * 1_000, ...alone, ...changes });
}

/** As a moment: what is counted from now moves on while a test runs. */
function ago(seconds: number): string {
  return new Date(now - seconds * 1_000).toISOString();
}

function put(...flows: readonly FlowRecord[]): void {
  for (const each of flows) store.append(each);
  store.commit();
}

async function idsFor(...words: readonly string[]): Promise<readonly number[]> {
  terminal.out.length = 0;
  expect(await runCommand(command, ["--state", state.directory, "--json", ...words], terminal)).toBe(0);
  return terminal.out.map((line) => Number.parseInt((JSON.parse(line) as { id: string }).id, 16));
}

describe("cardea flows, where there is a store", () => {
  test("shows what is in the store and in the files, each once, by time", async () => {
    put(flow(1, 90), flow(2, 80), flow(4, 60));
    state.writeFlows("web.jsonl", [flow(3, 70), flow(4, 60), flow(5, 1)]);
    expect(await idsFor()).toEqual([1, 2, 3, 4, 5]);
    expect(await idsFor("--last", "2")).toEqual([4, 5]);
    expect(await idsFor("--first", "2")).toEqual([1, 2]);
  });

  test("reads on over the store's pages", async () => {
    put(...Array.from({ length: 1_500 }, (_, i) => flow(i, 2_000 - i)));
    expect(await idsFor("--last", "1300")).toEqual(Array.from({ length: 1_300 }, (_, i) => 200 + i));
    expect(await idsFor("--first", "3")).toEqual([0, 1, 2]);
  });

  test.each([
    [
      ["--verdict", "denied"],
      [1, 5, 6],
    ],
    [
      ["--verdict", "allowed,error"],
      [2, 3, 4],
    ],
    [
      ["--from", "shop/web"],
      [1, 2, 3, 4, 5, 6],
    ],
    [["--to", "vault"], [5]],
    [["--from", "vault"], []],
    [["--namespace", "bank"], [5]],
    [["-n", "nowhere"], []],
    [["--service", "vault.bank"], [5]],
    [["--protocol", "tcp"], [6]],
    [["--method", "post"], [2]],
    [
      ["--path", "/admin"],
      [1, 3, 4, 5],
    ],
    [["--path", "admin"], []],
    [["--status", "5xx"], [3]],
    [
      ["--status", "403"],
      [1, 4, 5],
    ],
    [["--status", "200-299"], [2]],
    [["--trace", "0000000000000000000000000000000a"], [4]],
    [["--dry-run", "denied"], [2]],
    [["--audited"], [2]],
    [
      ["--since", ago(35)],
      [4, 5, 6],
    ],
    [
      ["--until", ago(35)],
      [1, 2, 3],
    ],
    [
      ["--since", ago(55), "--until", ago(25)],
      [2, 3, 4],
    ],
    [["--verdict", "denied", "--path", "/admin", "--until", ago(25)], [1]],
  ])("takes what %j asks for", async (words, ids) => {
    const vault = { ...PAYMENTS, namespace: "bank", workload: "vault", service: "vault.bank.svc.cluster.local" };
    put(
      flow(1, 60),
      flow(2, 50, {
        verdict: "allowed",
        method: "POST",
        path: "/pay",
        status: 201,
        dryRun: "denied",
        auditedBy: "a/b#0",
      }),
      flow(3, 40, { verdict: "error", status: 503 }),
      flow(4, 30, { verdict: "allowed", traceId: "0000000000000000000000000000000a", spanId: "00f067aa0ba902b7" }),
      flow(5, 20, { destination: vault }),
      flow(6, 10, { protocol: "tcp", method: null, host: null, path: null, status: null }),
    );
    expect(await idsFor(...words)).toEqual(ids);
  });

  test("does not show as let through what the other sidecar denied", async () => {
    const pair = { traceId: "0000000000000000000000000000000b" };
    const allowed = { reporter: "source", verdict: "allowed", reason: "service-registered" } as const;
    put(
      flow(1, 10, { ...pair, ...allowed, spanId: "00000000000000aa" }),
      flow(2, 10, { ...pair, spanId: "00000000000000bb", parentSpanId: "00000000000000aa" }),
    );
    expect(await idsFor("--verdict", "allowed")).toEqual([]);
    expect(await idsFor("--verdict", "denied")).toEqual([2]);
    expect(await idsFor("--verdict", "allowed", "--all")).toEqual([1]);
  });

  test("shows what the files have when the store does not answer, and says so", async () => {
    state.writeFlows("web.jsonl", [flow(3, 70)]);
    await admin.close();
    expect(await idsFor()).toEqual([3]);
    expect(terminal.err.join("\n")).toContain("this is what the flow files have");
  });

  test("says that it looked in the store, too", async () => {
    expect(await idsFor("--path", "/none")).toEqual([]);
    expect(terminal.err.join("\n")).toContain("and in the store");
  });

  test.each([
    [["--first", "2", "--last", "2"], "--first goes with"],
    [["--first", "2", "--follow"], "--first goes with"],
    [["--first", "x"], "--first is a whole number"],
    [["--follow", "--until", "1m"], "--until does not go with"],
    [["--until", "later"], "--until is like"],
    [["--status", "99"], "--status is like"],
    [["--status", "600"], "--status is like"],
    [["--protocol", "quic"], "--protocol is http or tcp"],
    [["--trace", "xyz"], "--trace is 32"],
    [["-o", "xml"], "--output is table, json, compact, dict"],
  ])("refuses %j with exit code 2", async (words, message) => {
    expect(await runCommand(command, ["--state", state.directory, ...words], terminal)).toBe(2);
    expect(terminal.err).toEqual([expect.stringContaining(message)]);
  });
});

describe("-o dict", () => {
  test("shows every field that is known, and nothing that acts on the terminal", async () => {
    put(flow(1, 10, { path: "/\u001b[2J\n<b>" }), flow(2, 5));
    expect(await runCommand(command, ["--state", state.directory, "-o", "dict"], terminal)).toBe(0);
    const text = terminal.out.join("\n");
    expect(text).toMatch(/^ +path: \/\\x1b\[2J\\x0a<b>$/m);
    expect(text).toMatch(/^ +source\.principal: spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web$/m);
    expect(text).toMatch(/^ +destination\.labels: app=payments,version=v1$/m);
    expect(terminal.out.filter((line) => line === "------------")).toHaveLength(1);
    expect(text.replaceAll("\n", "")).toMatch(/^[ -~]*$/);
  });

  test("is coloured on a terminal alone", async () => {
    put(flow(1, 10));
    const coloured = keptTerminal({ colour: true });
    await runCommand(command, ["--state", state.directory, "-o", "dict"], coloured);
    expect(coloured.out.join("")).toContain("\u001b[1;31mdenied\u001b[0m");
  });
});

describe("a filter as a query", () => {
  const full: FlowFilter = {
    fromMs: 1,
    toMs: 2,
    verdicts: ["denied", "error"],
    reporter: "source",
    names: ["a b", "c&d"],
    sourceNames: ["e"],
    destinationNames: ["spiffe://x/ns/a/sa/b"],
    inNamespaces: ["shop"],
    protocol: "http",
    method: "GET",
    pathPrefix: "/ü?#%",
    statusFrom: 400,
    statusTo: 499,
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    dryRun: "any",
    isAudited: true,
  };

  test("says the same on the other side", () => {
    expect(readFlowQuery(writeFlowQuery(full))).toEqual(full);
    expect(writeFlowQuery({}).toString()).toBe("");
  });

  test.each(["from=x", "verdict=maybe", "reporter=me", "trace=zz", "dry-run=no", "audited=1", "protocol=udp", "to=-1"])(
    "%s is refused",
    (text) => {
      expect(() => readFlowQuery(new URLSearchParams(text))).toThrow(expect.objectContaining({ code: "bad-input" }));
    },
  );
});

test.each<[FlowFilter, boolean, FlowFilter]>([
  [{ verdicts: ["denied"], method: "GET" }, false, { verdicts: ["denied"], method: "GET" }],
  [{ verdicts: ["denied", "would-deny"] }, false, { verdicts: ["denied", "would-deny"] }],
  [{ verdicts: ["allowed"], method: "GET" }, false, { method: "GET" }],
  [{ verdicts: ["denied", "error"] }, false, {}],
  [{ verdicts: [] }, false, {}],
  [{ verdicts: ["allowed"] }, true, { verdicts: ["allowed"] }],
])("of %j (both records: %s) the store sieves %j", (filter, showsBoth, expected) => {
  expect(sieveFor(filter, showsBoth)).toEqual(expected);
});

test("twins are told once, and what only has the same id long before is no twin", async () => {
  const given = [flow(1, 0), flow(1, 0), flow(1, 0, { reporter: "source" }), flow(2, 1), flow(1, 60)];
  const told: number[] = [];
  for await (const { id } of withoutTwins(Readable.from(given))) told.push(Number.parseInt(id, 16));
  expect(told).toEqual([1, 1, 2, 1]);
});

test("a store that fails in the middle is told, and what came until then is kept", async () => {
  put(...Array.from({ length: 150 }, (_, i) => flow(i, 200 - i)));
  const failures: string[] = [];
  const told: number[] = [];
  for await (const { id } of readStoreBackward(admin.address, {}, (why) => failures.push(why))) {
    told.push(Number.parseInt(id, 16));
    if (told.length === 100) await admin.close();
  }
  expect([told.length, failures.length]).toEqual([100, 1]);
});
