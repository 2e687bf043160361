/** A cell that holds the newest value of something that changes while the program runs. */
export interface Latest<T> {
  get(): T;
  /** Calls `onChange` after each later change, in order of subscription; the result ends the subscription. */
  subscribe(onChange: (value: T) => void): () => void;
}

export interface LatestSource<T> extends Latest<T> {
  set(value: T): void;
}

export function createLatest<T>(initial: T): LatestSource<T> {
  let current = initial;
  const subscribers = new Set<(value: T) => void>();
  return {
    get: () => current,
    set(value) {
      current = value;
      for (const onChange of subscribers) onChange(value);
    },
    subscribe(onChange) {
      subscribers.add(onChange);
      return () => subscribers.delete(onChange);
    },
  };
}
