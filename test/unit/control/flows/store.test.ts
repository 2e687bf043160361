import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FlowsAnswer } from "../../../../src/control/flows/query.ts";
import { FlowStore, type StoreOptions } from "../../../../src/control/flows/store.ts";
import { openDatabaseFiles } from "../../../../src/io/database-files.ts";
import { type FlowRecord, NO_TLS } from "../../../../src/observe/flow.ts";
import { PAYMENTS, plaintextFlow, sampleFlow, WEB } from "../../../support/sample-flow.ts";

const START_MS = Date.UTC(2026, 10, 22, 9, 30);
const DAY_MS = 86_400_000;

let directory: string;
let nowMs: number;
let said: string[];
let stores: FlowStore[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-store-"));
  nowMs = START_MS;
  said = [];
  stores = [];
});

afterEach(() => {
  for (const store of stores) store.close();
  rmSync(directory, { recursive: true });
});

function openStore(options: Partial<StoreOptions> = {}): FlowStore {
  const store = new FlowStore({
    files: openDatabaseFiles(directory, ".db"),
    retentionMs: 7 * DAY_MS,
    bytesMax: 1e9,
    nowMs: () => nowMs,
    log: (_level, event) => said.push(event),
    ...options,
  });
  stores.push(store);
  return store;
}

/** Flows with an id of their own, a second apart. */
function flowsFrom(index: number, count: number, changes: Partial<FlowRecord> = {}): readonly FlowRecord[] {
  return Array.from({ length: count }, (_, i) =>
    sampleFlow({ timeMs: START_MS + (index + i) * 1_000, id: (index + i).toString(16).padStart(16, "0"), ...changes }),
  );
}

function put(store: FlowStore, flows: readonly FlowRecord[]): void {
  for (const flow of flows) store.append(flow);
  store.commit();
}

function idsOf({ flows }: FlowsAnswer): readonly number[] {
  return flows.map(({ id }) => Number.parseInt(id, 16));
}

const everything = { filter: {}, namespaces: "all", limit: 100 } as const;

describe("a stored flow", () => {
  const full = sampleFlow({
    detail: "why",
    policy: "shop/ledger",
    rule: 0,
    ticket: "OPS-1",
    auditedBy: "shop/audit#1",
    dryRun: "denied",
    dryRunBy: "mesh/default",
    remoteIp: "10.1.2.3",
    servicePort: 80,
    receivedPath: "//admin",
    grpcStatus: 7,
    bytesReceived: 2 ** 40,
    bytesSent: 7,
    upstreamPort: 40_001,
    appSni: "bank.example",
    route: "shop/route",
    attempts: 2,
    retriedFor: "503",
    requestPrincipal: "https://id.example/alice",
  });

  test.each([
    ["with everything in it", full],
    ["of somebody unknown", plaintextFlow()],
    ["of an opaque connection", sampleFlow({ protocol: "tcp", method: null, host: null, path: null, status: null })],
    ["without a trace", sampleFlow({ traceId: null, spanId: null, parentSpanId: null })],
    ["that began a trace", sampleFlow({ parentSpanId: null })],
    ["with a path that no dictionary keeps", sampleFlow({ path: `/${"x".repeat(2_000)}` })],
    [
      "with a path that acts on a terminal, or on SQL",
      sampleFlow({ path: "/\u001b[2J'; DROP TABLE flows; --\u0000\u202e" }),
    ],
    ["from before the store began", sampleFlow({ timeMs: START_MS - 5_000 })],
  ])("%s comes back as it was", (_name, flow) => {
    const store = openStore();
    put(store, [flow]);
    expect(store.flows(everything)).toEqual({ flows: [flow], cursor: null });
    expect(store.find(flow.id, "all")).toEqual([flow]);
  });

  test("is still there when the store is opened again", () => {
    const store = openStore();
    put(store, flowsFrom(0, 10));
    store.close();
    expect(idsOf(openStore().flows(everything))).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  });

  test("of a millisecond in which thousands came is kept with all others", () => {
    const store = openStore();
    put(store, flowsFrom(0, 4_500, { timeMs: START_MS }).slice(0, 4_000));
    expect(store.edges({ fromMs: START_MS, toMs: START_MS + 60_000, namespaces: "all" }).edges[0]!.flows).toBe(4_000);
  });

  test("is not there before it was committed, when the process ends", () => {
    const store = openStore();
    put(store, flowsFrom(0, 3));
    store.append(flowsFrom(3, 1)[0]!);
    store.rollBack();
    expect(idsOf(store.flows(everything))).toEqual([2, 1, 0]);
    put(store, flowsFrom(4, 1, { path: "/new", host: "new" }));
    expect(idsOf(store.flows(everything))).toEqual([4, 2, 1, 0]);
  });
});

describe("a question for flows", () => {
  const OTHER = {
    ...WEB,
    principal: "spiffe://cluster.local/ns/bank/sa/teller",
    namespace: "bank",
    workload: "teller",
  };

  test.each([
    ["by verdict", { verdicts: ["allowed"] }, [1]],
    ["by a caller's name", { names: ["teller"] }, [2]],
    ["by a caller's name with its namespace", { names: ["bank/teller"] }, [2]],
    ["by a part of a name: none", { names: ["tell"] }, []],
    ["by a service's host name", { names: ["payments.shop"] }, [5, 4, 3, 2, 1, 0]],
    ["by the caller's namespace", { source: { namespace: "bank" } }, [2]],
    ["by a destination's port", { destination: { port: 9090 } }, [3]],
    ["by status", { statusFrom: 500, statusTo: 599 }, [4]],
    ["by the path's beginning", { pathPrefix: "/pay" }, [5]],
    ["by the path's beginning, with a wildcard that is none", { pathPrefix: "/%" }, []],
    ["by method", { method: "DELETE" }, []],
    ["by time", { fromMs: START_MS + 1_000, toMs: START_MS + 3_000 }, [2, 1]],
    ["by trace", { traceId: "00000000000000000000000000000005" }, [5]],
    ["by the name of one side alone", { sourceNames: ["teller"] }, [2]],
    ["by the name of the other side: none", { destinationNames: ["teller"] }, []],
    ["by the names of both sides", { sourceNames: ["web"], destinationNames: ["shop/payments"] }, [5, 4, 3, 1, 0]],
    ["by a namespace of either side", { inNamespaces: ["bank", "staff"] }, [2]],
    ["by a namespace that nobody is in", { inNamespaces: ["staff"] }, []],
    ["by what a dry run would decide", { dryRun: "denied" }, [1]],
    ["by what a dry run would decide otherwise: none", { dryRun: "allowed" }, []],
    ["by anything that a dry run would decide", { dryRun: "any" }, [1]],
    ["by an AUDIT policy's mark", { isAudited: true }, [3]],
    ["by all of it at once", { verdicts: ["denied"], names: ["teller"], statusFrom: 403 }, [2]],
  ] as const)("%s", (_name, filter, ids) => {
    const store = openStore();
    const [zero, one, two, three, four, five] = flowsFrom(0, 6) as FlowRecord[];
    put(store, [
      zero!,
      { ...one!, verdict: "allowed", reason: "allow-rule-matched", status: 200, dryRun: "denied" },
      { ...two!, source: OTHER },
      { ...three!, destination: { ...PAYMENTS, port: 9_090 }, auditedBy: "shop/audit#0" },
      { ...four!, status: 503, verdict: "error", reason: "upstream-reset" },
      { ...five!, path: "/payments/7", traceId: "00000000000000000000000000000005" },
    ]);
    expect(idsOf(store.flows({ filter, namespaces: "all", limit: 10 }))).toEqual(ids);
  });

  test.each([
    ["newest-first", Array.from({ length: 30 }, (_, i) => 29 - i)],
    ["oldest-first", Array.from({ length: 30 }, (_, i) => i)],
  ] as const)("goes on where its cursor says, %s, over files, and misses none", (order, expected) => {
    const store = openStore({ retentionMs: 80_000 });
    for (let i = 0; i < 30; i += 3) {
      nowMs = START_MS + i * 1_000;
      put(store, flowsFrom(i, 3));
      store.tend();
    }
    expect(readdirSync(directory).filter((name) => name.endsWith(".db")).length).toBeGreaterThan(1);
    const seen: number[] = [];
    let cursor: string | undefined;
    do {
      const page: FlowsAnswer = store.flows({
        filter: {},
        namespaces: "all",
        limit: 4,
        order,
        ...(cursor === undefined ? {} : { cursor }),
      });
      seen.push(...idsOf(page));
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
    expect(seen).toEqual(expected);
  });

  test.each(["x", "flows-1.db:3", "../../etc/passwd:1", "flows-000000000000001.db:1:2"])(
    "with the cursor %s is refused",
    (cursor) => {
      const store = openStore();
      expect(() => store.flows({ ...everything, cursor })).toThrow(expect.objectContaining({ code: "bad-input" }));
    },
  );

  test.each(["", "zz", "1234567", "12345678'", "123456789012345678"])("by the id %j finds nothing", (id) => {
    const store = openStore();
    put(store, [sampleFlow()]);
    expect(store.find(id, "all")).toEqual([]);
  });

  test("by the beginning of an id finds it, whether it was denied or not", () => {
    const store = openStore();
    put(store, [sampleFlow({ verdict: "allowed" }), sampleFlow({ id: "9f1c2a7cffffffff" })]);
    expect(store.find("9f1c2a7b", "all").map(({ verdict }) => verdict)).toEqual(["allowed"]);
    expect(store.find("9f1c2a7be03d", "all")).toHaveLength(1);
    expect(store.find("9f1c2a7be03e", "all")).toEqual([]);
  });
});

describe("who may read a namespace", () => {
  const bank = {
    ...PAYMENTS,
    namespace: "bank",
    principal: "spiffe://cluster.local/ns/bank/sa/vault",
    workload: "vault",
  };

  test.each([
    ["the caller's", ["shop"], [0]],
    ["the called's", ["bank"], [0]],
    ["another", ["staff"], []],
    ["none", [], []],
  ])("sees the flows of %s: flows, ids and edges alike", (_name, names, ids) => {
    const store = openStore();
    const [flow] = flowsFrom(0, 1, { destination: bank });
    put(store, [flow!]);
    const namespaces = new Set(names);
    expect(idsOf(store.flows({ filter: {}, namespaces, limit: 10 }))).toEqual(ids);
    expect(store.find(flow!.id, namespaces)).toHaveLength(ids.length);
    expect(store.edges({ fromMs: START_MS, toMs: START_MS + 1, namespaces }).edges).toHaveLength(ids.length);
    const followed: FlowRecord[] = [];
    store.follow({}, namespaces, (flows) => followed.push(...flows));
    put(store, flowsFrom(1, 1, { destination: bank }));
    expect(followed).toHaveLength(ids.length);
  });
});

describe("edges", () => {
  test("are sums by verdict and class of status", () => {
    const store = openStore();
    put(store, flowsFrom(0, 3, { verdict: "allowed", status: 200, bytesSent: 10, durationMs: 3 }));
    put(store, flowsFrom(3, 2, { durationMs: 30_000 }));
    const { edges } = store.edges({ fromMs: START_MS, toMs: START_MS + 60_000, namespaces: "all" });
    expect(edges).toHaveLength(2);
    const allowed = edges.find(({ verdict }) => verdict === "allowed")!;
    expect(allowed).toMatchObject({ flows: 3, bytesSent: 30, statusClass: 2, source: { workload: "web" } });
    expect(allowed.latencyCounts.indexOf(3)).toBe(3);
    const denied = edges.find(({ verdict }) => verdict === "denied")!;
    expect([denied.flows, denied.statusClass, denied.latencyCounts.at(-1)]).toEqual([2, 4, 2]);
  });

  test("hold the destination's word where both sidecars told, with the group that the source saw", () => {
    const store = openStore();
    const service = { ...PAYMENTS, service: "payments.shop.svc.cluster.local" };
    put(
      store,
      flowsFrom(0, 2, {
        destination: { ...service, service: null },
        tls: { version: "TLSv1.3", group: null, sni: null },
      }),
    );
    put(store, flowsFrom(2, 2, { reporter: "source", destination: service }));
    expect(store.edges({ fromMs: START_MS, toMs: START_MS + 60_000, namespaces: "all" }).edges).toMatchObject([
      {
        reporter: "destination",
        flows: 2,
        tls: { version: "TLSv1.3", group: "X25519MLKEM768" },
        destination: { service: service.service },
      },
    ]);
  });

  test("hold the source's word where nobody else could tell", () => {
    const store = openStore();
    put(
      store,
      flowsFrom(0, 2, {
        reporter: "source",
        tls: NO_TLS,
        verdict: "error",
        reason: "upstream-connect-failed",
        status: 503,
      }),
    );
    const { edges } = store.edges({ fromMs: START_MS, toMs: START_MS + 60_000, namespaces: "all" });
    expect(edges).toMatchObject([{ reporter: "source", flows: 2, verdict: "error", statusClass: 5 }]);
  });

  test.each([
    ["a minute", 0, 60_000],
    ["minutes over an hour's end", 25 * 60_000, 35 * 60_000],
    ["hours", 0, 5 * 3_600_000],
    ["hours, askew", 17 * 60_000, 17 * 60_000 + 3 * 3_600_000],
    ["days", 0, 3 * DAY_MS],
  ])("of %s are the flows of that time and no others", (_name, from, to) => {
    const store = openStore();
    const stepMs = 7 * 60_000;
    const flows = Array.from({ length: 800 }, (_, i) =>
      sampleFlow({ timeMs: START_MS + i * stepMs, id: i.toString(16).padStart(16, "0") }),
    );
    for (const [i, flow] of flows.entries()) {
      nowMs = flow.timeMs;
      store.append(flow);
      if (i % 50 === 0) store.tend();
    }
    const answer = store.edges({ fromMs: START_MS + from, toMs: START_MS + to, namespaces: "all" });
    const inside = flows.filter(({ timeMs }) => timeMs >= answer.fromMs && timeMs < answer.toMs);
    expect(answer.edges.reduce((sum, edge) => sum + edge.flows, 0)).toBe(inside.length);
    expect(answer.fromMs).toBeLessThanOrEqual(START_MS + from);
    expect(answer.toMs).toBeGreaterThanOrEqual(START_MS + to);
  });

  test("are counted anew from the flows when the process ended before it wrote them", () => {
    const store = openStore();
    put(store, flowsFrom(0, 50));
    store.tend();
    put(store, flowsFrom(50, 50));
    // As a kill leaves it: committed flows in the files, and their sums nowhere.
    const left = join(directory, "left");
    mkdirSync(left);
    for (const name of readdirSync(directory)) if (name !== "left") cpSync(join(directory, name), join(left, name));
    const again = openStore({ files: openDatabaseFiles(left, ".db") });
    expect(again.edges({ fromMs: START_MS, toMs: START_MS + DAY_MS, namespaces: "all" }).edges[0]!.flows).toBe(100);
  });

  test("count a record for as many flows as it stands for, also anew after a crash", () => {
    const store = openStore();
    put(store, flowsFrom(0, 3, { verdict: "allowed", status: 200, sampledFrom: 10, bytesSent: 7 }));
    put(store, flowsFrom(3, 2));
    const left = join(directory, "left");
    mkdirSync(left);
    for (const name of readdirSync(directory)) if (name !== "left") cpSync(join(directory, name), join(left, name));
    for (const each of [store, openStore({ files: openDatabaseFiles(left, ".db") })]) {
      const { edges } = each.edges({ fromMs: START_MS, toMs: START_MS + DAY_MS, namespaces: "all" });
      const byVerdict = Object.fromEntries(edges.map(({ verdict, flows, bytesSent }) => [verdict, [flows, bytesSent]]));
      expect(byVerdict["allowed"]).toEqual([30, 210]);
      expect(byVerdict["denied"]![0]).toBe(2);
    }
  });

  test("tell whoever reads everything how many flows are missing", () => {
    const store = openStore();
    put(store, flowsFrom(0, 1));
    store.appendLoss("spiffe://cluster.local/ns/shop/sa/web", {
      reason: "queue-full",
      verdict: "allowed",
      principal: null,
      flows: 12,
    });
    const range = { fromMs: START_MS, toMs: START_MS + 60_000 };
    expect(store.edges({ ...range, namespaces: "all" }).lostFlows).toBe(12);
    expect(store.edges({ ...range, namespaces: new Set(["shop"]) }).lostFlows).toBe(0);
  });
});

describe("retention", () => {
  test("by time lets whole files go, the oldest first", () => {
    const store = openStore({ retentionMs: DAY_MS });
    for (let hour = 0; hour < 72; hour += 1) {
      nowMs = START_MS + hour * 3_600_000;
      put(store, [sampleFlow({ timeMs: nowMs, id: hour.toString(16).padStart(16, "0") })]);
      store.tend();
    }
    const span = store.span()!;
    expect(nowMs - span.fromMs).toBeGreaterThanOrEqual(DAY_MS);
    expect(nowMs - span.fromMs).toBeLessThan(1.3 * DAY_MS);
    expect(span.toMs).toBe(nowMs + 1);
  });

  test("by size lets the oldest go, and never what is written to", () => {
    const store = openStore({ bytesMax: 200_000, retentionMs: 80_000 });
    for (let i = 0; i < 20; i++) {
      nowMs = START_MS + i * 11_000;
      put(store, flowsFrom(i * 11, 10));
      store.tend();
    }
    expect(said).toContain("flows-expired");
    expect(store.flows(everything).flows[0]!.timeMs).toBe(START_MS + (19 * 11 + 9) * 1_000);
  });

  test("survives a clock that was set back: files stay in the order in which they were made", () => {
    const store = openStore({ retentionMs: 80_000 });
    put(store, flowsFrom(0, 1));
    nowMs += 20_000;
    store.tend();
    nowMs = START_MS - 3_600_000;
    put(store, flowsFrom(1, 1));
    expect(store.flows(everything).flows).toHaveLength(2);
  });
});

describe("a damaged file", () => {
  test.each([
    [
      "is no database",
      (file: string) => writeFileSync(file, "not a database at all, but long enough to be looked at".repeat(100)),
    ],
    ["has been overwritten in the middle", (file: string) => overwrite(file, 0, Buffer.alloc(8_192, 0x5a))],
  ])("that %s is moved aside loudly, and storing goes on", (_name, damage) => {
    const store = openStore();
    put(store, flowsFrom(0, 200));
    store.close();
    const [name] = readdirSync(directory).filter((each) => each.endsWith(".db"));
    damage(join(directory, name!));
    const again = openStore();
    put(again, flowsFrom(200, 1));
    expect(idsOf(again.flows(everything))).toEqual([200]);
    expect(said).toContain("flows-damaged");
    expect(readdirSync(directory)).toContain(`${name}.damaged`);
  });

  test("of the past is moved aside when it is asked, and the others answer", () => {
    const store = openStore({ retentionMs: 80_000 });
    put(store, flowsFrom(0, 200));
    nowMs += 20_000;
    store.tend();
    put(store, flowsFrom(300, 1));
    const [old] = readdirSync(directory)
      .filter((each) => each.endsWith(".db"))
      .toSorted();
    truncateSync(join(directory, old!), 4_096);
    expect(idsOf(store.flows(everything))).toEqual([300]);
    expect(said).toContain("flows-damaged");
  });
});

function overwrite(file: string, at: number, bytes: Buffer): void {
  writeSync(openSync(file, "r+"), bytes, 0, bytes.length, at);
}
