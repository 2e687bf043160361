import type { FlowPeer } from "./flow.ts";
import type { FlowPair } from "./flow-labels.ts";

/**
 * Remembers something per pair of workloads, by the identity of the flow's peer objects: two look-ups without
 * building a key. What is remembered goes when a connection's peer objects go.
 */
export class PairMemo<T> {
  readonly #bySource = new WeakMap<FlowPeer, WeakMap<FlowPeer, (T | undefined)[]>>();

  of(pair: FlowPair, make: () => T): T {
    let byDestination = this.#bySource.get(pair.source);
    if (byDestination === undefined) this.#bySource.set(pair.source, (byDestination = new WeakMap()));
    let kinds = byDestination.get(pair.destination);
    if (kinds === undefined)
      byDestination.set(pair.destination, (kinds = [undefined, undefined, undefined, undefined]));
    const kind = (pair.reporter === "source" ? 0 : 1) + (pair.tls.version === null ? 0 : 2);
    return (kinds[kind] ??= make());
  }
}
