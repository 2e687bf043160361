import { join } from "node:path";
import type { Clock, Timer } from "../../core/ports.ts";
import { listFiles, truncateIfLarger } from "../../io/files.ts";

const CHECK_MS = 30_000;
const LOG_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Keeps the processes' logs within a bound. They write them themselves, so that they can go on without us; so we
 * cannot turn to a new file, only cut the old one.
 */
export function keepLogsShort(directory: string, clock: Clock): { close(): void } {
  let timer: Timer;
  function arm(): void {
    timer = clock.setTimer(CHECK_MS, () => {
      arm();
      void cut(directory);
    });
  }
  arm();
  return { close: () => timer.cancel() };
}

async function cut(directory: string): Promise<void> {
  const names = (await listFiles(directory)).filter((name) => name.endsWith(".log"));
  // A log that cannot be cut now can be in half a minute; a full disk will be told by those who write.
  await Promise.allSettled(names.map((name) => truncateIfLarger(join(directory, name), LOG_BYTES_MAX)));
}
