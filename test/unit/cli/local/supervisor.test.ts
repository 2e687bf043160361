import { expect, test } from "vitest";
import { type Keeping, keepRunning } from "../../../../src/cli/local/supervisor.ts";
import type { ChildExit, ChildProcess, EndSignal } from "../../../../src/io/child-processes.ts";
import { createSimulatedClock, type SimulatedClock } from "../../../support/simulated-clock.ts";

interface FakeChild extends ChildProcess {
  end(exit: ChildExit): void;
  readonly signals: EndSignal[];
}

/** Dies of the signals that it is told to die of. */
function createChild(pid: number, diesOf: readonly EndSignal[]): FakeChild {
  const { promise: exited, resolve: end } = Promise.withResolvers<ChildExit>();
  const signals: EndSignal[] = [];
  return {
    name: { pid, startTime: String(pid) },
    exited,
    end,
    signals,
    signal(signal) {
      signals.push(signal);
      if (diesOf.includes(signal)) end({ code: null, signal });
    },
  };
}

interface Scene {
  readonly clock: SimulatedClock;
  readonly children: FakeChild[];
  readonly reports: string[];
  readonly keeping: Keeping;
}

const GRACE_MS = 1_000;

async function keep(
  start?: (children: FakeChild[]) => Promise<FakeChild>,
  diesOf: EndSignal[] = ["SIGTERM"],
): Promise<Scene> {
  const clock = createSimulatedClock(0);
  const children: FakeChild[] = [];
  const reports: string[] = [];
  const startOne = async (): Promise<FakeChild> => {
    const child = start === undefined ? createChild(children.length + 1, diesOf) : await start(children);
    children.push(child);
    return child;
  };
  const options = { clock, graceMs: GRACE_MS, onChange: () => {}, report: (line: string) => void reports.push(line) };
  return { clock, children, reports, keeping: await keepRunning({ title: "sidecar", start: startOne }, options) };
}

test("a process that is killed is started again, and that is said", async () => {
  const { clock, children, reports, keeping } = await keep();
  children[0]!.end({ code: null, signal: "SIGKILL" });
  await clock.advance(50);
  expect(children).toHaveLength(2);
  expect(keeping.current()).toEqual({ pid: 2, startTime: "2" });
  expect(reports).toEqual(["sidecar ended (SIGKILL); starting it again"]);
});

test("one that ends at once each time is started less and less often", async () => {
  const { clock, children } = await keep();
  const startedAt: number[] = [];
  for (let round = 0; round < 5; round++) {
    const before = children.length;
    children.at(-1)!.end({ code: 1, signal: null });
    while (children.length === before) await clock.advance(10);
    startedAt.push(clock.monotonicMs());
  }
  const pauses = startedAt.map((at, i) => at - (startedAt[i - 1] ?? 0));
  expect(pauses).toEqual([50, 100, 200, 400, 800]);
});

test("one that lived well is started again at once, whatever was before", async () => {
  const { clock, children } = await keep();
  children[0]!.end({ code: 1, signal: null });
  await clock.advance(50);
  children[1]!.end({ code: 1, signal: null });
  await clock.advance(100);
  await clock.advance(60_000);
  children[2]!.end({ code: 1, signal: null });
  await clock.advance(50);
  expect(children).toHaveLength(4);
});

test("a start that fails is tried again", async () => {
  let starts = 0;
  const { clock, children, reports } = await keep(() => {
    starts += 1;
    return starts === 2 ? Promise.reject(new Error("no token")) : Promise.resolve(createChild(starts, ["SIGTERM"]));
  });
  children[0]!.end({ code: 1, signal: null });
  await clock.advance(50);
  expect(children).toHaveLength(1);
  await clock.advance(100);
  expect(children).toHaveLength(2);
  expect(reports).toContain("sidecar cannot be started: no token");
});
test("a first start that fails is the caller's", async () => {
  await expect(keep(() => Promise.reject(new Error("no such program")))).rejects.toThrow("no such program");
});

test("a process that is stopped is not started again", async () => {
  const { clock, children, keeping, reports } = await keep();
  await keeping.stop();
  await clock.advance(60_000);
  expect(children.map((child) => child.signals)).toEqual([["SIGTERM", "SIGKILL"]]);
  expect({ current: keeping.current(), reports }).toEqual({ current: null, reports: [] });
});

test("one that does not heed SIGTERM is killed after the grace", async () => {
  const { clock, children, keeping } = await keep(undefined, ["SIGKILL"]);
  const stopping = keeping.stop();
  await clock.advance(GRACE_MS - 1);
  expect(children[0]!.signals).toEqual(["SIGTERM"]);
  await clock.advance(1);
  await stopping;
  expect(children[0]!.signals).toContain("SIGKILL");
});

test("kill does not wait for the grace", async () => {
  const { children, keeping } = await keep(undefined, ["SIGKILL"]);
  const stopping = keeping.stop();
  keeping.kill();
  await stopping;
  expect(children[0]!.signals.slice(0, 2)).toEqual(["SIGTERM", "SIGKILL"]);
});

test("what is starting while it is stopped is ended as well", async () => {
  const second = Promise.withResolvers<FakeChild>();
  const { clock, children, keeping } = await keep((started) =>
    started.length === 0 ? Promise.resolve(createChild(1, ["SIGTERM"])) : second.promise,
  );
  children[0]!.end({ code: 1, signal: null });
  await clock.advance(50);
  const stopping = keeping.stop();
  const late = createChild(2, ["SIGTERM"]);
  second.resolve(late);
  await stopping;
  expect(late.signals).toContain("SIGTERM");
  expect(keeping.current()).toBeNull();
});
