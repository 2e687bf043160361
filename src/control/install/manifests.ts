import { access } from "./access.ts";
import { availability } from "./availability.ts";
import { configuration } from "./configuration.ts";
import { deployment, service } from "./deployment.ts";
import type { JsonObject } from "../../core/json-value.ts";
import { evaluate, type Situation } from "./evaluate.ts";
import { monitoring } from "./monitoring/monitoring.ts";
import type { Template } from "./template.ts";
import { PART_OF } from "./names.ts";
import { webhooks } from "./webhooks.ts";

/** The manifests but for the namespace and the CRDs, by the file of the chart that they stand in; in order. */
export const MANIFESTS: Readonly<Record<string, readonly Template[]>> = {
  access: access(),
  configuration: [configuration()],
  availability: availability(),
  deployment: [deployment(), service()],
  monitoring: monitoring(),
  // Last: who applies the list is not refused by a webhook behind which nobody is yet.
  webhooks: webhooks(),
};

/** The same as objects. Helm makes the namespace itself; `cardea install` prints it. */
export function makeManifests(situation: Situation): readonly JsonObject[] {
  return Object.values(MANIFESTS)
    .flat()
    .flatMap((template) => {
      const object = evaluate(template, situation);
      return object === null ? [] : [object];
    });
}

/** What runs in it passes `restricted`, and nothing else is let in. */
export function namespaceManifest(name: string): JsonObject {
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels: { ...PART_OF, "pod-security.kubernetes.io/enforce": "restricted" } },
  };
}
