import { createKeptLog, type KeptLine, type KeptLog } from "./kept-log.ts";

/** A log whose lines can be awaited, those that were written already included. */
export interface AwaitedLog extends KeptLog {
  line(event: string, fields?: KeptLine["fields"]): Promise<KeptLine>;
  /** Lines written so far are not looked at any more. */
  forget(): void;
}

interface Waiting {
  readonly matches: (line: KeptLine) => boolean;
  readonly resolve: (line: KeptLine) => void;
}

export function createAwaitedLog(): AwaitedLog {
  const kept = createKeptLog();
  const waiting = new Set<Waiting>();
  let from = 0;
  return {
    get lines() {
      return kept.lines;
    },
    events: () => kept.events(),
    isEnabled: () => true,
    log(level, event, fields) {
      kept.log(level, event, fields);
      const line = kept.lines.at(-1)!;
      for (const each of waiting) {
        if (!each.matches(line)) continue;
        waiting.delete(each);
        each.resolve(line);
      }
    },
    line(event, fields = {}) {
      const matches = (line: KeptLine): boolean =>
        line.event === event && Object.entries(fields).every(([name, value]) => line.fields[name] === value);
      const past = kept.lines.slice(from).find(matches);
      return past === undefined ? new Promise((resolve) => waiting.add({ matches, resolve })) : Promise.resolve(past);
    },
    forget() {
      from = kept.lines.length;
    },
  };
}
