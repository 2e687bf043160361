import type { JsonObject } from "../../core/json-value.ts";
import { bounded, crd, listOfAtMost, rule } from "./crd.ts";

const TARGETS = listOfAtMost(256, bounded(512), { minItems: 1 });

/** Rules as a policy has them, nested too deeply to be said twice: `policy prove` knows what is right. */
const RULE: JsonObject = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

/**
 * Invariant: documents that lie beside policies, so that a directory of both can be applied as it is. The cluster keeps
 * them; `cardea policy prove` holds them.
 */
export const INVARIANT_CRD: JsonObject = crd({
  group: "cardea.dev",
  kind: "Invariant",
  plural: "invariants",
  shortNames: ["inv"],
  categories: ["cardea"],
  versions: ["v1"],
  hasStatus: false,
  columns: [],
  spec: {
    type: "object",
    properties: {
      description: bounded(1_024),
      to: TARGETS,
      never: listOfAtMost(512, RULE, { minItems: 1 }),
      unreachable: {
        type: "object",
        properties: { from: TARGETS, to: TARGETS, hops: { type: "integer", minimum: 1, maximum: 1_000 } },
        required: ["from", "to"],
      },
    },
    "x-kubernetes-validations": [
      rule("has(self.never) != has(self.unreachable)", "needs either never, a list of rules, or unreachable"),
      rule("!has(self.unreachable) || !has(self.to)", "to goes with never; unreachable has one of its own"),
    ],
  },
});
