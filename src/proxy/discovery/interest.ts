import { LIMITS } from "../../core/limits.ts";

/** The resource names that this sidecar has a use for; kept over streams. */
export interface Interest {
  names(): readonly string[];
  /** Calls `onAdded` with those that come, and with those that are given up for them, soon after. */
  subscribe(onAdded: (added: readonly string[], dropped: readonly string[]) => void): () => void;
}

export interface InterestSource extends Interest {
  add(name: string): void;
}

/** Names come in one by one, at the first use of each; the longest known give way. */
export function createInterest(): InterestSource {
  const names = new Set<string>();
  const subscribers = new Set<(added: readonly string[], dropped: readonly string[]) => void>();
  let added = new Set<string>();
  let dropped = new Set<string>();

  function tell(): void {
    const [nowAdded, nowDropped] = [[...added], [...dropped]];
    added = new Set();
    dropped = new Set();
    for (const onAdded of subscribers) onAdded(nowAdded, nowDropped);
  }

  function dropOldest(): void {
    const [oldest] = names;
    names.delete(oldest!);
    // Nobody has been told of it yet.
    if (!added.delete(oldest!)) dropped.add(oldest!);
  }

  return {
    names: () => [...names],
    add(name) {
      if (names.has(name)) return;
      if (added.size + dropped.size === 0) queueMicrotask(tell);
      if (names.size >= LIMITS.discoveryInterestMax) dropOldest();
      names.add(name);
      added.add(name);
      dropped.delete(name);
    },
    subscribe(onAdded) {
      subscribers.add(onAdded);
      return () => subscribers.delete(onAdded);
    },
  };
}
