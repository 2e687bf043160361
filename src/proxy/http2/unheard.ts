import type { StreamEvents } from "./stream-events.ts";

/** Before anybody has taken the stream over, and after it was given up. */
export const UNHEARD: StreamEvents = {
  onBlock: () => {},
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onReset: () => {},
  onFault: () => {},
  onLost: () => {},
  onClosed: () => {},
  onStill: () => {},
};
