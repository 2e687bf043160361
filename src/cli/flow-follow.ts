import type { Clock } from "../core/ports.ts";
import { openTail, type Tail } from "../io/tail.ts";
import { watchDirectory } from "../io/watch.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { parseFlowLine } from "../observe/flow-line.ts";
import { listFlowFiles } from "./flow-history.ts";

export interface Following {
  /** Resolves when nothing more will be told. */
  close(): Promise<void>;
}

/** The watch tells at once; where it does not reach (network file systems), looking now and then does. */
const POLL_MS = 100;
const DEBOUNCE_MS = 5;

/**
 * Tells what the sidecars record from now on, by time within a batch, empty batches included (as a heartbeat).
 * Sidecars that join later are followed from their first line.
 */
export async function followFlows(
  directory: string,
  clock: Clock,
  onFlows: (flows: readonly FlowRecord[]) => void,
): Promise<Following> {
  const tails = new Map<string, Tail>();
  for (const path of await listFlowFiles(directory)) tails.set(path, await openTail(path, "end"));
  let reading: Promise<void> | null = null;
  let isClosed = false;

  async function read(): Promise<void> {
    for (const path of await listFlowFiles(directory)) {
      if (!tails.has(path)) tails.set(path, await openTail(path, "start"));
    }
    const lines = (await Promise.all([...tails.values()].map((tail) => tail.read()))).flat();
    const flows = lines.map(parseFlowLine).filter((flow) => flow !== null);
    if (!isClosed) onFlows(flows.toSorted((a, b) => a.timeMs - b.timeMs));
  }

  /** One reading at a time: what comes meanwhile is found by the next. */
  function look(): void {
    reading ??= read()
      // The directory may be gone for now; it is looked for again.
      .catch(() => undefined)
      .finally(() => {
        reading = null;
      });
  }

  const watching = watchDirectory(directory, { debounceMs: DEBOUNCE_MS }, look);
  let timer = clock.setTimer(0, poll);
  function poll(): void {
    look();
    timer = clock.setTimer(POLL_MS, poll);
  }

  return {
    async close() {
      isClosed = true;
      timer.cancel();
      watching.close();
      await reading;
    },
  };
}
