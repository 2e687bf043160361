import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mintJoinToken } from "../../src/control/ca/join-token.ts";
import { systemClock } from "../../src/io/clock.ts";
import { openStateFiles } from "../../src/io/state-files.ts";
import { keepUntilExit } from "../path/child.ts";
import type { ControlPlace } from "./simulated-sidecar.ts";
import { type Arrivals, type Counters, type Expectation, sumOf, type WorkerRequest } from "./worker-messages.ts";
import type { WorldSidecar } from "./world.ts";

/** All simulated sidecars, in a few processes. */
export interface Fleet {
  readonly count: number;
  /** Each gets its certificate from the authority by a join token of its own. */
  join(control: { readonly place: ControlPlace; readonly stateDir: string }): Promise<void>;
  /** When the last of them was in sync, by the machine's monotonic clock. */
  connect(): Promise<number>;
  inSync(): Promise<number>;
  expect(expectation: Expectation): Promise<void>;
  arrivals(withinMs: number): Promise<Arrivals>;
  counters(): Promise<Counters>;
  /** How many sidecars hold the same addresses: one entry when all agree. */
  digests(): Promise<ReadonlyMap<string, number>>;
  /** SIGSTOP: nothing is read any more, and the kernel's buffers fill up. */
  setStopped(isStopped: boolean): void;
  close(): void;
}

/** Starts the processes. */
export function openFleet(sidecars: readonly WorldSidecar[], processes: number): Fleet {
  const workers = Array.from({ length: processes }, startWorker);
  const shares = workers.map((_, index) => sidecars.filter((__, at) => at % processes === index));
  const all = <T>(request: WorkerRequest): Promise<T[]> =>
    Promise.all(workers.map((worker) => worker.ask(request) as Promise<T>));
  return {
    count: sidecars.length,
    async join({ place, stateDir }) {
      const rootPem = readFileSync(join(stateDir, "ca", "root.pem"), "utf8");
      await Promise.all(
        workers.map(async (worker, index) => {
          const own = await withTokens(shares[index]!, stateDir);
          await worker.ask({ ask: "join", sidecars: own, control: place, rootPem });
        }),
      );
    },
    connect: async () => latestOf(await all<{ atMs: number }>({ ask: "connect" })),
    inSync: async () => latestOf(await all<{ atMs: number }>({ ask: "in-sync" })),
    async expect(expectation) {
      await all({ ask: "expect", expectation });
    },
    async arrivals(withinMs) {
      const found = await all<Arrivals>({ ask: "arrivals", withinMs });
      return {
        atMs: found.flatMap(({ atMs }) => atMs),
        missing: found.reduce((sum, { missing }) => sum + missing, 0),
      };
    },
    counters: async () => sumOf(await all<Counters>({ ask: "counters" })),
    async digests() {
      const merged = new Map<string, number>();
      for (const each of await all<Readonly<Record<string, number>>>({ ask: "digests" }))
        for (const [digest, count] of Object.entries(each)) merged.set(digest, (merged.get(digest) ?? 0) + count);
      return merged;
    },
    setStopped: (isStopped) => workers.forEach(({ child }) => child.kill(isStopped ? "SIGSTOP" : "SIGCONT")),
    close: () => workers.forEach(({ child }) => child.kill("SIGKILL")),
  };
}

function latestOf(found: readonly { readonly atMs: number }[]): number {
  return Math.max(...found.map(({ atMs }) => atMs));
}

/** Each with a join token of its own, written into the control plane's state. */
export function withTokens(sidecars: readonly WorldSidecar[], stateDir: string) {
  const files = openStateFiles(stateDir);
  const random = { bytes: randomBytes, float: Math.random };
  return Promise.all(
    sidecars.map(async (sidecar) => {
      const { spiffeId } = sidecar;
      return { ...sidecar, token: await mintJoinToken({ files, clock: systemClock, random }, { spiffeId }) };
    }),
  );
}

interface Worker {
  readonly child: ChildProcess;
  ask(request: WorkerRequest): Promise<unknown>;
}

function startWorker(): Worker {
  const child = fork(join(import.meta.dirname, "worker.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  keepUntilExit(child);
  const waiting = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  let asked = 0;
  child.on("message", (message: { readonly id: number; readonly answer?: unknown; readonly error?: string }) => {
    const asker = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) asker?.resolve(message.answer);
    else asker?.reject(new Error(message.error));
  });
  child.once("exit", () => waiting.forEach((asker) => asker.reject(new Error("a worker has ended"))));
  return {
    child,
    ask(request) {
      asked += 1;
      child.send({ id: asked, request });
      return new Promise((resolve, reject) => waiting.set(asked, { resolve, reject }));
    },
  };
}
