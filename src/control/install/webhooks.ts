import type { JsonObject, JsonValue } from "../../core/json-value.ts";
import { DEFAULT_WEBHOOK_OPTIONS, webhookConfigurations } from "../admission/webhook-configuration.ts";
import { CONTROL, IS_DEFAULT, LABELS } from "./names.ts";
import { type Condition, isSet, lift, namespace, spread, type Template, value, when } from "./template.ts";

/** The webhook configurations of those namespaces that name the revision, and of those that name none if it is theirs. */
export function webhooks(): readonly Template[] {
  return [...configurations(null, IS_DEFAULT), ...configurations(MARKS.revision, isSet("revision"))];
}

const MARKS = { service: "@service", namespace: "@namespace", excluded: "@excluded", revision: "@revision" } as const;

const MEANINGS: ReadonlyMap<string, Template> = new Map<string, Template>([
  [MARKS.service, CONTROL],
  [MARKS.namespace, namespace],
  [MARKS.excluded, spread("injection.excludedNamespaces")],
  [MARKS.revision, value("revision")],
]);

function configurations(revision: string | null, condition: Condition): readonly Template[] {
  const made = webhookConfigurations({
    ...DEFAULT_WEBHOOK_OPTIONS,
    rootNamespace: MARKS.namespace,
    service: { ...DEFAULT_WEBHOOK_OPTIONS.service, name: MARKS.service },
    excludedNamespaces: [MARKS.excluded],
    revision,
  }) as readonly JsonObject[];
  return made.map((each) => {
    const metadata = lift(each["metadata"] as JsonValue, MEANINGS) as { readonly name: Template };
    return when(condition, {
      ...(lift(each, MEANINGS) as Readonly<Record<string, Template>>),
      metadata: { name: metadata.name, labels: LABELS },
    });
  });
}
