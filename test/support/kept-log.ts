import type { Logger, LogLevel } from "../../src/core/ports.ts";

export interface KeptLine {
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Readonly<Record<string, string | number | boolean | null>>;
}

/** A log that a test can read. */
export interface KeptLog extends Logger {
  readonly lines: readonly KeptLine[];
  events(): readonly string[];
}

export function createKeptLog(): KeptLog {
  const lines: KeptLine[] = [];
  return {
    lines,
    events: () => lines.map((line) => line.event),
    log: (level, event, fields = {}) => void lines.push({ level, event, fields }),
    isEnabled: () => true,
  };
}
