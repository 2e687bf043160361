/** Who is to be looked at, in turns: those whom a change concerns first. */
export interface PushQueue<Stream> {
  /** Behind those that wait already; before all of `later`. */
  first(streams: Iterable<Stream>): void;
  later(streams: Iterable<Stream>): void;
  remove(stream: Stream): void;
}

/** Streams of one turn of the event loop: some 5 ms, so that certificates are issued meanwhile. */
const TURN = 32;

/** Whether what a stream waits for concerns it, or all. */
export type Lane = "first" | "later";

/** Calls `push` for each stream once for each time that it was added, or less often: it brings what is newest then. */
export function createPushQueue<Stream>(push: (stream: Stream, lane: Lane) => void): PushQueue<Stream> {
  const lanes = { first: new Set<Stream>(), later: new Set<Stream>() };
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled || lanes.first.size + lanes.later.size === 0) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      pushSome();
      schedule();
    });
  }

  function pushSome(): void {
    let left = TURN;
    for (const lane of ["first", "later"] as const)
      for (const stream of lanes[lane]) {
        if (left === 0) return;
        left -= 1;
        remove(stream);
        push(stream, lane);
      }
  }

  function remove(stream: Stream): void {
    lanes.first.delete(stream);
    lanes.later.delete(stream);
  }

  function add(streams: Iterable<Stream>, lane: Lane): void {
    for (const stream of streams) lanes[lane].add(stream);
    schedule();
  }

  return { first: (streams) => add(streams, "first"), later: (streams) => add(streams, "later"), remove };
}
