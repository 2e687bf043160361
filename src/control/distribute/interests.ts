/** Who asked for which names: so that a change finds those that it concerns without looking at the others. */
export class Interests<Stream> {
  readonly #byName = new Map<string, Set<Stream>>();
  readonly #byStream = new Map<Stream, Set<string>>();

  add(stream: Stream, names: readonly string[]): void {
    const own = this.#byStream.get(stream) ?? new Set<string>();
    if (names.length > 0) this.#byStream.set(stream, own);
    for (const name of names) {
      own.add(name);
      const streams = this.#byName.get(name) ?? new Set<Stream>();
      this.#byName.set(name, streams.add(stream));
    }
  }

  remove(stream: Stream, names: Iterable<string>): void {
    for (const name of names) {
      this.#byStream.get(stream)?.delete(name);
      const streams = this.#byName.get(name);
      streams?.delete(stream);
      if (streams?.size === 0) this.#byName.delete(name);
    }
  }

  forget(stream: Stream): void {
    this.remove(stream, [...(this.#byStream.get(stream) ?? [])]);
    this.#byStream.delete(stream);
  }

  in(name: string): Iterable<Stream> {
    return this.#byName.get(name) ?? [];
  }
}
