import type { FlowRecord } from "../../src/observe/flow.ts";
import { encodeFlowLog } from "../../src/observe/otlp-flow.ts";
import { LOG_RECORD_TAG, requestHead } from "../../src/observe/otlp-request.ts";
import { ProtobufBytes } from "../../src/wire/protobuf-bytes.ts";

/** Flows as the request by which a sidecar sends them. */
export function flowsRequest(flows: readonly FlowRecord[]): Buffer {
  const records = new ProtobufBytes();
  for (const flow of flows) {
    const { bytes, length } = encodeFlowLog(flow);
    records.octet(LOG_RECORD_TAG);
    records.varint(length);
    records.copy(bytes, length);
  }
  const resource = { "service.name": "payments", "service.namespace": "shop" };
  return Buffer.concat([requestHead(resource, "1.2.3", records.length), records.take()]);
}
