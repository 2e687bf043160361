import { type ExpositionFormat, formatEnd, formatTitle } from "./exposition-format.ts";
import { METRIC_TABLE } from "./metric-table.ts";
import type { MetricSource } from "./metric-source.ts";

export interface ExpositionOptions {
  readonly format: ExpositionFormat;
  /** The monotonic clock. */
  readonly nowMs: () => number;
}

/** Samples between two turns of the event loop: some 100 µs, so that a scrape never holds up traffic. */
const SAMPLES_PER_TURN = 250;

/** The whole exposition in pieces. Counters may move on between two pieces; each line is right when it is written. */
export async function* formatExposition(
  sources: readonly MetricSource[],
  { format, nowMs }: ExpositionOptions,
): AsyncGenerator<string> {
  let piece = "";
  let samples = 0;
  for (const line of exposedLines(sources, format)) {
    piece += `${line}\n`;
    if (++samples % SAMPLES_PER_TURN !== 0) continue;
    yield piece;
    piece = "";
    await nextTurn();
  }
  piece += formatEnd(format);
  if (piece !== "") yield piece;
  // Nobody asks for what comes after the last piece unless that has been taken: a scrape that broke off tells nothing.
  for (const source of sources) source.told?.(nowMs());
}

function* exposedLines(sources: readonly MetricSource[], format: ExpositionFormat): Generator<string> {
  for (const source of sources) {
    for (const family of source.families(format)) {
      const about = "about" in family ? family.about : METRIC_TABLE[family.name];
      let isTitled = false;
      for (const sample of family.samples) {
        // A family of the table is left out where it has no sample: its title alone says nothing.
        if (!isTitled) yield formatTitle(family.name, about, format);
        isTitled = true;
        yield sample;
      }
      // One that is not in the table of the sidecar's is told of all the same: its reader knows no other list.
      if (!isTitled && "about" in family) yield formatTitle(family.name, about, format);
    }
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
