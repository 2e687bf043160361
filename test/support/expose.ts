import { formatExposition } from "../../src/observe/exposition.ts";
import type { MetricSource } from "../../src/observe/metric-source.ts";
import type { ExpositionFormat } from "../../src/observe/exposition-format.ts";

/** What a scraper would be told, as one text. */
export async function expose(
  sources: readonly MetricSource[],
  { format = "text", nowMs = 0 }: { readonly format?: ExpositionFormat; readonly nowMs?: number } = {},
): Promise<string> {
  let text = "";
  for await (const piece of formatExposition(sources, { format, nowMs: () => nowMs })) text += piece;
  return text;
}

export interface Sample {
  readonly value: number;
  readonly labels: Record<string, string>;
}

/** The samples of one name, read back from the text as a scraper would. */
export async function samplesOf(source: MetricSource, name: string): Promise<Sample[]> {
  return readSamples(await expose([source]), name);
}

export function readSamples(text: string, name: string): Sample[] {
  const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return lines.map((line) => {
    const labels = [...line.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, value]) => [label!, value!]);
    return {
      value: Number(line.slice(line.lastIndexOf(" ") + 1)),
      labels: Object.fromEntries(labels) as Record<string, string>,
    };
  });
}

export async function valueOf(source: MetricSource, name: string): Promise<number | undefined> {
  return (await samplesOf(source, name))[0]?.value;
}
