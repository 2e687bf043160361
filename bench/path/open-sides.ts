import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Child, startChild } from "./child.ts";
import { assertCarries } from "./first-answer.ts";
import { openOurs, type OurSide } from "./ours.ts";
import { openPeer } from "./peer-side.ts";
import { PEERS } from "./peers.ts";
import { findProgram } from "./programs.ts";
import type { Backends, RunningSide } from "./side.ts";

const BACKEND_TIMEOUT_MS = 10_000;
/** Of an error with what a program has printed. */
const WHY_CHARS = 600;

/** What runs while the bench measures. */
export interface Opened {
  readonly backends: Backends;
  readonly ours: OurSide;
  /** Ours first, then the peers in the order of the table. */
  readonly sides: readonly RunningSide[];
  readonly close: () => Promise<void>;
}

export interface OpenOptions {
  /** Everything that is written lies in here. */
  readonly directory: string;
  readonly peers: readonly string[];
  readonly report: (line: string) => void;
}

/** Starts the backend, our mesh and every peer that is there. A peer that is not, or does not start, is told and left out. */
export async function openSides({ directory, peers, report }: OpenOptions): Promise<Opened> {
  const closing: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => void (await Promise.all(closing.splice(0).map((each) => each())));
  try {
    const { child, backends } = await openBackends(directory);
    closing.push(() => child.close());
    const settingOf = (name: string): { directory: string; backends: Backends } => {
      mkdirSync(join(directory, name), { recursive: true });
      return { directory: join(directory, name), backends };
    };
    const ours = await openOurs(settingOf("cardea"));
    closing.push(() => ours.close());
    await assertCarries(ours);
    report(`${ours.name} ${ours.version}`);
    const sides: RunningSide[] = [ours];
    for (const peer of PEERS.filter(({ name }) => peers.includes(name))) {
      const program = await findProgram(peer.source);
      if ("absent" in program) {
        report(`${peer.name} is skipped: ${program.absent}`);
        continue;
      }
      await peer.complete?.(program);
      try {
        const side = await openPeer(peer, program, settingOf(peer.name));
        closing.push(() => side.close());
        await assertCarries(side);
        sides.push(side);
        report(`${side.name} ${side.version}`);
        for (const lack of peer.carries(program).lacks) report(`${peer.name}: ${lack}`);
      } catch (error) {
        report(`${peer.name} is skipped, it did not start: ${String(error).slice(0, WHY_CHARS)}`);
      }
    }
    return { backends, ours, sides, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The processes that stand behind all sides. */
export async function openBackends(directory: string): Promise<{ readonly child: Child; readonly backends: Backends }> {
  const logFile = join(directory, "backend.log");
  const child = startChild(process.execPath, [join(import.meta.dirname, "backends", "backend.ts")], logFile);
  const untilMs = performance.now() + BACKEND_TIMEOUT_MS;
  while (!readFileSync(logFile, "utf8").includes("}\n")) {
    if (child.hasEnded() || performance.now() > untilMs) throw new Error(`no backend: ${child.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return { child, backends: JSON.parse(readFileSync(logFile, "utf8")) as Backends };
}
