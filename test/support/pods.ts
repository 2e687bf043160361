import type { JsonObject } from "../../src/core/json-value.ts";

/** A pod with nothing to find: fields given replace its own. */
export function podOf(options: PodParts = {}): JsonObject {
  const { metadata = {}, spec = {}, container = {} } = options;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "ledger-0", namespace: "shop", labels: { app: "ledger" }, ...metadata },
    spec: {
      securityContext: { runAsNonRoot: true, runAsUser: 1000 },
      containers: [
        {
          name: "app",
          image: "ledger:1",
          ports: [{ containerPort: 8080 }],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
          ...container,
        },
      ],
      ...spec,
    },
  };
}

interface PodParts {
  readonly metadata?: JsonObject;
  readonly spec?: JsonObject;
  readonly container?: JsonObject;
}

/** A namespace whose pods are injected. */
export const MESHED = { name: "shop", labels: { "cardea.dev/inject": "enabled" }, annotations: {} } as const;
