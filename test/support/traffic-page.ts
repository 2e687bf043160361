import { parseTrafficDocument } from "../../src/traffic/document.ts";
import { TRAFFIC_KINDS, type TrafficKind } from "../../src/traffic/kinds.ts";
import { RETRY_CONDITIONS } from "../../src/traffic/service-traffic.ts";
import { page, table } from "./markdown-page.ts";
import { findSchemaFields, type SchemaField } from "./schema-fields.ts";

/** docs/reference/traffic-fields.md */
export function trafficFieldsPage(): string {
  const intro = [
    "The traffic documents of Istio and of the Gateway API as this version reads them. A field that is not listed here is a",
    "fault, and so is a listed one that is not supported: a document is never taken in part. What the fields mean, Istio and",
    "the Gateway API say; what holds without them, and where we differ: [traffic rules](../guides/traffic.md). A subset's",
    "`trafficPolicy` has the fields of the rule's, an item of `portLevelSettings` its four blocks.",
  ];
  return page("Traffic fields", "src/traffic/", intro, [
    ...TRAFFIC_KINDS.map((kind) => `## ${kind}\n\n${table(["field", "takes", ""], rowsOf(kind))}`),
    `## Conditions of \`retryOn\`\n\n${RETRY_CONDITIONS.map((word) => `\`${word}\``).join(", ")}, and statuses from 100 to 599.`,
  ]);
}

function rowsOf(kind: TrafficKind): string[][] {
  const fields = findSchemaFields((document, source, faults) => parseTrafficDocument(kind, document, source, faults));
  return fields
    .filter(isTold)
    .map(({ path, expects, isRequired, refusal }) => [
      `\`${path}\``,
      expects ?? "",
      refusal ?? (isRequired ? "required" : ""),
    ]);
}

/** What kubectl adds by itself would only be noise here, and so would a policy's fields at each place that has one. */
function isTold({ path, expects, refusal }: SchemaField): boolean {
  const isRepeated = /\.subsets\[\]\.trafficPolicy\.|portLevelSettings\[\]\.(?!port)/.test(path);
  return (expects !== null || refusal !== null) && !isRepeated && !/^metadata\.(labels|annotations)/.test(path);
}
