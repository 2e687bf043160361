import { isJsonList, type JsonValue, valueAt } from "../../core/json-value.ts";

/**
 * In what a webhook configuration lets more pass than ours would: webhooks that are missing, or no longer hold objects
 * back while we are away. Null: in nothing. Selectors are the installation's to narrow. Both are plain JSON.
 */
export function driftOf(wanted: object, found: object): string | null {
  const there = new Map(webhooksOf(found).map((webhook) => [nameOf(webhook), webhook]));
  const missing: string[] = [];
  const weaker: string[] = [];
  for (const webhook of webhooksOf(wanted)) {
    const name = nameOf(webhook);
    const other = there.get(name);
    if (other === undefined) missing.push(name);
    else if (policyOf(webhook) === "Fail" && policyOf(other) !== "Fail") weaker.push(name);
  }
  const parts = [
    ...(missing.length === 0 ? [] : [`${missing.join(", ")} missing`]),
    ...(weaker.length === 0 ? [] : [`${weaker.join(", ")} with failurePolicy Ignore`]),
  ];
  return parts.length === 0 ? null : parts.join("; ");
}

function nameOf(webhook: JsonValue): string {
  const name = valueAt(webhook, ["name"]);
  return typeof name === "string" ? name : "";
}

function policyOf(webhook: JsonValue): JsonValue | undefined {
  return valueAt(webhook, ["failurePolicy"]);
}

function webhooksOf(configuration: object): readonly JsonValue[] {
  // What the API server sends, and what we render for it, is JSON.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const webhooks = (configuration as { readonly webhooks?: JsonValue }).webhooks;
  return isJsonList(webhooks) ? webhooks : [];
}
