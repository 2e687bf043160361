import { createHash, randomBytes } from "node:crypto";
import { parseSpiffeId } from "../../src/core/spiffe-id.ts";
import { ADDRESS_TYPE } from "../../src/api/resource-types.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { eachOf, joinAll } from "./joining.ts";
import { type ControlPlace, SimulatedSidecar } from "./simulated-sidecar.ts";
import { type Arrivals, type Counters, type Expectation, machineMs, type WorkerRequest } from "./worker-messages.ts";

// Some hundred simulated sidecars in one process, told what to do by the bench.

const DIALLING_AT_ONCE = 32;
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 10_000;

const network = createSocketNetwork();
const sidecars: SimulatedSidecar[] = [];
let control: ControlPlace | null = null;
let counters = { messages: 0, bytes: 0, ended: 0 };
let touched = new Set<SimulatedSidecar>();
let left = new Map<SimulatedSidecar, Set<string>>();
let arrivals: number[] = [];
let onProgress: () => void = () => {};
const failures = new Map<SimulatedSidecar, number>();

process.on("message", (message: { readonly id: number; readonly request: WorkerRequest }) => {
  const { id, request } = message;
  answerTo(request).then(
    (answer) => process.send!({ id, answer }),
    (thrown: unknown) => process.send!({ id, error: String(thrown) }),
  );
});
process.on("disconnect", () => process.exit(0));

function answerTo(request: WorkerRequest): Promise<unknown> {
  switch (request.ask) {
    case "join":
      return join(request);
    case "connect":
      void eachOf(sidecars, DIALLING_AT_ONCE, connect);
      return untilInSync();
    case "in-sync":
      return untilInSync();
    case "expect":
      return Promise.resolve(expect(request.expectation));
    case "arrivals":
      return untilArrived(request.withinMs);
    case "counters":
      return Promise.resolve(takeCounters());
    case "digests":
      return Promise.resolve(digests());
  }
}

async function join(request: WorkerRequest & { readonly ask: "join" }): Promise<void> {
  const place = { address: request.control.address, spiffeId: parseSpiffeId(request.control.spiffeId) };
  control = place;
  for (const { about, identity } of await joinAll({ ...request, control: place, network }))
    sidecars.push(new SimulatedSidecar(about, identity, { onMessage, onEnded }));
}

async function connect(sidecar: SimulatedSidecar): Promise<void> {
  try {
    await sidecar.connect(control!, network);
  } catch (thrown) {
    onEnded(sidecar, String(thrown));
  }
}

function onMessage(sidecar: SimulatedSidecar, bytes: number, names: readonly string[]): void {
  counters.messages += 1;
  counters.bytes += bytes;
  touched.add(sidecar);
  failures.delete(sidecar);
  const waiting = left.get(sidecar);
  if (waiting !== undefined) {
    for (const name of names) waiting.delete(name);
    if (waiting.size === 0) {
      left.delete(sidecar);
      arrivals.push(machineMs());
    }
  }
  onProgress();
}

/** As a sidecar does it: the longer the more often it failed, between half of it and all. */
function onEnded(sidecar: SimulatedSidecar, _reason: string): void {
  counters.ended += 1;
  sidecar.heard.clear();
  const failed = failures.get(sidecar) ?? 0;
  failures.set(sidecar, failed + 1);
  const ceilingMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failed);
  const fraction = randomBytes(4).readUInt32BE() / 2 ** 32;
  setTimeout(() => void connect(sidecar), ceilingMs * (0.5 + fraction / 2));
}

function expect(next: Expectation): number {
  arrivals = [];
  left = new Map(sidecars.filter((each) => isConcerned(each, next)).map((each) => [each, new Set(next.names)]));
  return left.size;
}

function isConcerned({ about }: SimulatedSidecar, { concerns }: Expectation): boolean {
  if (concerns.who === "all") return true;
  if (concerns.who === "identity") return about.spiffeId === concerns.spiffeId;
  return about.uses.some((name) => concerns.services.includes(name));
}

async function untilArrived(withinMs: number): Promise<Arrivals> {
  await until(() => left.size === 0, withinMs);
  const found = { atMs: arrivals, missing: left.size };
  left = new Map();
  return found;
}

async function untilInSync(): Promise<{ readonly atMs: number }> {
  await until(() => sidecars.every(({ isInSync }) => isInSync), 300_000);
  return { atMs: machineMs() };
}

/** Also resolves when the time is over. */
function until(isSo: () => boolean, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      clearTimeout(timer);
      onProgress = () => {};
      resolve();
    };
    const timer = setTimeout(settle, withinMs);
    onProgress = () => {
      if (isSo()) settle();
    };
    onProgress();
  });
}

function takeCounters(): Counters {
  const taken = { ...counters, touched: touched.size };
  counters = { messages: 0, bytes: 0, ended: 0 };
  touched = new Set();
  return taken;
}

function digests(): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const { held } of sidecars) {
    const lines = [...held.get(ADDRESS_TYPE)!].map(([name, version]) => `${name} ${version}`).toSorted();
    const digest = createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 12);
    found[digest] = (found[digest] ?? 0) + 1;
  }
  return found;
}
