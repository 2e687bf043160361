import type { FlowRecord } from "../../src/observe/flow.ts";
import { FlowLogWriter } from "../../src/observe/otlp-flow.ts";
import { resourceHead } from "../../src/observe/otlp-request.ts";
import { Chunks } from "../../src/proxy/flow-export/chunks.ts";
import { RecordQueue } from "../../src/proxy/flow-export/record-queue.ts";

const chunks = new Chunks();
const queue = new RecordQueue(new FlowLogWriter("grouped", "1"), chunks);

/** Flows as a sidecar sends them, those of a group together. */
export function batchRequest(flows: readonly FlowRecord[]): Buffer {
  for (const flow of flows) queue.add(flow);
  const parts: Buffer[] = [];
  let bytes = 0;
  for (let batch = queue.take(Number.POSITIVE_INFINITY); batch !== null; batch = queue.take(Number.POSITIVE_INFINITY)) {
    parts.push(...batch.pieces.map((piece) => Buffer.from(piece.bytes)));
    bytes += batch.bytes;
    for (const piece of batch.pieces) chunks.giveBack(piece.bytes);
  }
  return Buffer.concat([resourceHead({ "service.name": "web", "service.namespace": "shop" }, bytes), ...parts]);
}
