import type { FlowRecord } from "../../src/observe/flow.ts";
import { flowsRequest } from "./flows-request.ts";
import { libraryType } from "./proto-arbitraries.ts";

const REQUEST = "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest";

export interface LibraryAttribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface LibraryRequest {
  readonly resourceLogs: readonly {
    readonly scopeLogs: readonly { readonly logRecords: readonly { attributes: readonly LibraryAttribute[] }[] }[];
  }[];
}

/** A flow's request with the attributes of its record as a test wants them: no sidecar of ours would send it. */
export function changedRequest(
  flow: FlowRecord,
  change: (attributes: readonly LibraryAttribute[]) => readonly LibraryAttribute[],
): Buffer {
  const type = libraryType(REQUEST);
  const message = type.deserialize(flowsRequest([flow])) as LibraryRequest;
  const [record] = message.resourceLogs[0]!.scopeLogs[0]!.logRecords;
  record!.attributes = change(record!.attributes);
  return type.serialize(message);
}
