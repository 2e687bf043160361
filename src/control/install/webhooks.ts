import type { JsonObject, JsonValue } from "../../core/json-value.ts";
import { DEFAULT_WEBHOOK_OPTIONS, webhookConfigurations } from "../admission/webhook-configuration.ts";
import { GUARD_NAME, sidecarGuard } from "../admission/sidecar-guard.ts";
import { CONTROL, IS_DEFAULT, LABELS, withRevision } from "./names.ts";
import { type Condition, isSet, lift, namespace, spread, type Template, value, when } from "./template.ts";

/** The webhook configurations of those namespaces that name the revision, and of those that name none if it is theirs. */
export function webhooks(): readonly Template[] {
  return [...configurations(null, IS_DEFAULT), ...configurations(MARKS.revision, isSet("revision")), ...guard()];
}

/** One for each revision, all of them the same: whichever is left holds for the namespaces of those that have gone. */
function guard(): readonly Template[] {
  const made = sidecarGuard({ name: MARKS.guard, excludedNamespaces: [MARKS.excluded, MARKS.namespace] });
  return (made as readonly JsonObject[]).map((each) =>
    when(isSet("injection.guard"), {
      ...(lift(each, MEANINGS) as Readonly<Record<string, Template>>),
      metadata: { name: withRevision(GUARD_NAME), labels: LABELS },
    }),
  );
}

const MARKS = {
  service: "@service",
  namespace: "@namespace",
  excluded: "@excluded",
  revision: "@revision",
  guard: "@guard",
} as const;

const MEANINGS: ReadonlyMap<string, Template> = new Map<string, Template>([
  [MARKS.service, CONTROL],
  [MARKS.namespace, namespace],
  [MARKS.excluded, spread("injection.excludedNamespaces")],
  [MARKS.revision, value("revision")],
  [MARKS.guard, withRevision(GUARD_NAME)],
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
