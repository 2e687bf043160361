import type { FlowRecord } from "../../src/observe/flow.ts";
import { type FlowLogForm, FlowLogWriter, sealGroup } from "../../src/observe/otlp-flow.ts";
import { resourceHead } from "../../src/observe/otlp-request.ts";
import { ProtobufBytes } from "../../src/wire/protobuf-bytes.ts";

/** Flows as a request by which a sidecar could send them, each under a scope of its own. */
export function flowsRequest(flows: readonly FlowRecord[], form: FlowLogForm = "grouped"): Buffer {
  const writer = new FlowLogWriter(form, "1.2.3");
  const scopes = flows.map((flow) => {
    const group = writer.groupOf(flow);
    const scope = new ProtobufBytes();
    scope.copy(group.made.head);
    writer.put(scope, group, flow);
    sealGroup(scope);
    return scope.take();
  });
  const records = Buffer.concat(scopes);
  const resource = { "service.name": "payments", "service.namespace": "shop" };
  return Buffer.concat([resourceHead(resource, records.length), records]);
}
