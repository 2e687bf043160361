import type { FlowRecord } from "../../observe/flow.ts";
import { parseFlowLine } from "../../observe/flow-line.ts";
import { openTail } from "../../io/tail.ts";

/** The records of several sidecars, as they come. */
export interface FlowReader {
  /** What has come since the last call, by time. */
  read(): Promise<readonly FlowRecord[]>;
}

/** Reads the flow files from where they end now. */
export async function openFlowReader(files: readonly string[]): Promise<FlowReader> {
  const tails = await Promise.all(files.map((file) => openTail(file, "end")));
  return {
    async read() {
      const lines = (await Promise.all(tails.map((tail) => tail.read()))).flat();
      const records = lines.map(parseFlowLine).filter((record) => record !== null);
      return records.toSorted((a, b) => a.timeMs - b.timeMs);
    },
  };
}
