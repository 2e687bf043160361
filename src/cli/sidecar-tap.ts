import { FLOW_LIMITS } from "../core/flow-limits.ts";
import type { Clock } from "../core/ports.ts";
import type { AdminAnswer } from "../io/http-admin.ts";
import type { FlowRecord } from "../observe/flow.ts";
import { formatFlowLine } from "../observe/flow-line.ts";
import type { Beginning, Tap, TapPoint } from "../proxy/record.ts";

// What a sidecar tells of its exchanges as they happen, to whoever is on this machine: heads without header fields and
// queries, and how they ended. Loaded by the first reader.

export interface TapParts {
  readonly tapPoint: TapPoint;
  readonly clock: Clock;
}

/** Lines of JSON: `began`, `ended`, `lost`, and empty ones now and then. 503 when enough are watching. */
export function tapAnswer({ tapPoint, clock }: TapParts): AdminAnswer {
  const watched = (tapPoint.tap as SidecarTap | null) ?? new SidecarTap(clock);
  if (watched.watchers.size >= FLOW_LIMITS.tapWatchersMax)
    return { status: 503, contentType: "text/plain; charset=utf-8", body: "enough are watching already\n" };
  const watcher = new Watcher();
  watched.watchers.add(watcher);
  tapPoint.tap = watched;
  const leave = (): void => {
    watched.watchers.delete(watcher);
    if (watched.watchers.size === 0) tapPoint.tap = null;
  };
  return { status: 200, contentType: "application/json", body: linesFor(watcher, clock, leave) };
}

/** A reader who has gone is noticed when something is written to it. */
const HEARTBEAT_MS = 2_000;

async function* linesFor(watcher: Watcher, clock: Clock, leave: () => void): AsyncGenerator<string> {
  let beat = clock.setTimer(0, onBeat);
  function onBeat(): void {
    watcher.put("\n");
    beat = clock.setTimer(HEARTBEAT_MS, onBeat);
  }
  try {
    for (;;) yield await watcher.take();
  } finally {
    beat.cancel();
    leave();
  }
}

class SidecarTap implements Tap {
  readonly watchers = new Set<Watcher>();
  readonly #clock: Clock;
  readonly #numbers = new WeakMap<object, number>();
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  began(what: object, { pair, ...beginning }: Beginning): void {
    // A request that had to wait for its decision is told of once.
    if (this.#numbers.has(what)) return;
    const exchange = this.#numberOf(what);
    const time = new Date(this.#clock.wallMs()).toISOString();
    const { source, destination, tls } = pair;
    this.#tell({ at: "began", exchange, time, ...beginning, source, destination, tls: tls.version });
  }

  ended(what: object, flow: FlowRecord): void {
    const exchange = this.#numberOf(what);
    this.#numbers.delete(what);
    for (const watcher of this.watchers)
      watcher.put(`{"at":"ended","exchange":${exchange},"flow":${formatFlowLine(flow)}}\n`);
  }

  #tell(event: object): void {
    const line = `${JSON.stringify(event)}\n`;
    for (const watcher of this.watchers) watcher.put(line);
  }

  #numberOf(what: object): number {
    let number = this.#numbers.get(what);
    if (number === undefined) this.#numbers.set(what, (number = ++this.#last));
    return number;
  }
}

/** Lines on their way to one reader, up to so many octets; what has no room is counted. */
class Watcher {
  #waiting: string[] = [];
  #length = 0;
  #lost = 0;
  #wake: (() => void) | null = null;

  put(line: string): void {
    if (this.#lost > 0 || this.#length + line.length > FLOW_LIMITS.tapWaitingBytesMax) {
      if (line !== "\n") this.#lost += 1;
    } else {
      this.#waiting.push(line);
      this.#length += line.length;
    }
    this.#wake?.();
  }

  async take(): Promise<string> {
    while (this.#waiting.length === 0 && this.#lost === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = null;
    const lost = this.#lost === 0 ? "" : `${JSON.stringify({ at: "lost", count: this.#lost })}\n`;
    const text = this.#waiting.join("") + lost;
    this.#waiting = [];
    this.#length = 0;
    this.#lost = 0;
    return text;
  }
}
