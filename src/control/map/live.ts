import type { MapFlow } from "../../api/map-messages.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import type { Clock } from "../../core/ports.ts";
import type { FlowRecord } from "../../observe/flow.ts";
import type { FlowQueries } from "../flows/query.ts";
import type { Reader } from "./readers.ts";

/** A line now and then tells both ends that the other is there. */
const HEARTBEAT_MS = 10_000;
/** A flood of denials is told in so many pieces a second. */
const GATHER_MS = 250;

export interface LiveSources {
  readonly flows: Pick<FlowQueries, "follow">;
  readonly clock: Clock;
  readonly toMapFlow: (flow: FlowRecord) => MapFlow;
  /** Calls when policies or registry have changed; the result ends it. */
  readonly onChange: (changed: () => void) => () => void;
}

/** Denials as they are stored, and changes of the mesh, as server-sent events (HTML Living Standard, section 9.2). */
export async function* liveEvents(sources: LiveSources, reader: Reader, gone: AbortSignal): AsyncGenerator<string> {
  const { clock, flows } = sources;
  let waiting: FlowRecord[] = [];
  let more = 0;
  let isChanged = false;
  let wake = Promise.withResolvers<void>();
  const endings = [
    flows.follow({ verdicts: ["denied", "would-deny"] }, reader.namespaces, (denied) => {
      waiting.push(...denied);
      more += Math.max(0, waiting.length - FLOW_LIMITS.mapTellDenialsMax);
      waiting = waiting.slice(-FLOW_LIMITS.mapTellDenialsMax);
      wake.resolve();
    }),
    sources.onChange(() => {
      isChanged = true;
      wake.resolve();
    }),
  ];
  const onGone = (): void => wake.resolve();
  gone.addEventListener("abort", onGone);
  try {
    yield event("hello", {});
    while (!gone.aborted) {
      await either(wake.promise, HEARTBEAT_MS, clock);
      if (gone.aborted) return;
      await either(null, GATHER_MS, clock, gone);
      // What comes while this is told is told next.
      const [told, left, hasChanged] = [waiting, more, isChanged];
      [waiting, more, isChanged] = [[], 0, false];
      wake = Promise.withResolvers<void>();
      if (told.length > 0) yield event("denials", { flows: told.map(sources.toMapFlow), more: left });
      if (hasChanged) yield event("changed", {});
      if (told.length === 0 && !hasChanged) yield ": still here\n\n";
    }
  } finally {
    gone.removeEventListener("abort", onGone);
    for (const end of endings) end();
  }
}

function event(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** When the promise resolves, the time is over, or the caller has gone: whichever is first. */
function either(promise: Promise<void> | null, ms: number, clock: Clock, gone?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      gone?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.setTimer(ms, done);
    gone?.addEventListener("abort", done);
    void promise?.then(done);
  });
}
