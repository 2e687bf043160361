import { parentPort, Worker, workerData } from "node:worker_threads";

/** Messages between a thread and the one that it belongs to. They are copied. */
export interface ThreadPort {
  post(message: unknown): void;
  /** One receiver at a time. */
  onMessage(receive: (message: unknown) => void): void;
}

export interface Thread extends ThreadPort {
  /** Resolves when it has ended, with what it failed with or null. */
  readonly ended: Promise<Error | null>;
  /** Ends it at once, whatever it does. */
  terminate(): Promise<void>;
}

/** Starts a module as a thread of its own; `data` is copied to it. */
export function startThread(module: URL, data: unknown, heapMiBMax: number): Thread {
  const worker = new Worker(module, { workerData: data, resourceLimits: { maxOldGenerationSizeMb: heapMiBMax } });
  const ended = new Promise<Error | null>((resolve) => {
    worker.once("error", (error) => resolve(error instanceof Error ? error : new Error(String(error))));
    worker.once("exit", () => resolve(null));
  });
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- A thread is no window.
    post: (message) => worker.postMessage(message),
    onMessage: (receive) => void worker.on("message", receive),
    ended,
    async terminate() {
      await worker.terminate();
    },
  };
}

/** To the thread itself: what it was started with, and the way back. */
export function threadParent(): ThreadPort & { readonly data: unknown } {
  const port = parentPort;
  if (port === null) throw new Error("this is the main thread");
  return {
    data: workerData,
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- Nor is this.
    post: (message) => port.postMessage(message),
    onMessage: (receive) => void port.on("message", receive),
  };
}
