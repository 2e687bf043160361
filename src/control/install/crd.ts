import type { JsonObject } from "../../core/json-value.ts";
import { PART_OF } from "./names.ts";

export interface CrdOptions {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** The first is the one that is kept. */
  readonly versions: readonly string[];
  readonly spec: JsonObject;
  readonly columns: readonly JsonObject[];
  readonly hasStatus: boolean;
}

/** A CustomResourceDefinition with a structural schema; the same one for all of its versions. */
export function crd(options: CrdOptions): JsonObject {
  const { group, kind, plural, shortNames, categories, versions, columns, hasStatus } = options;
  const short = shortNames.length === 0 ? {} : { shortNames };
  const age = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}`, labels: PART_OF },
    spec: {
      group,
      scope: "Namespaced",
      // The server drops an empty list, and each apply would be a change.
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), ...short, categories },
      versions: versions.map((name, index) => ({
        name,
        served: true,
        storage: index === 0,
        schema: { openAPIV3Schema: schemaOf(options) },
        ...(hasStatus ? { subresources: { status: {} } } : {}),
        additionalPrinterColumns: [...columns, age],
      })),
    },
  };
}

function schemaOf({ spec, hasStatus }: CrdOptions): JsonObject {
  const status = { status: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  return { type: "object", properties: { spec, ...(hasStatus ? status : {}) }, required: ["spec"] };
}

/** A rule that the API server checks itself. CEL, Kubernetes "Validation rules". */
export function rule(expression: string, message: string): JsonObject {
  return { rule: expression, message };
}

/** A text of at most so many characters: the server reckons what rules cost by these bounds. */
export function bounded(maxLength: number, more: JsonObject = {}): JsonObject {
  return { type: "string", maxLength, ...more };
}

export function listOfAtMost(maxItems: number, items: JsonObject, more: JsonObject = {}): JsonObject {
  return { type: "array", maxItems, items, ...more };
}
