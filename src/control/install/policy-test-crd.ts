import type { JsonObject } from "../../core/json-value.ts";
import { bounded, crd, listOfAtMost, rule } from "./crd.ts";

/** Written as a text or as a map: `policy test` knows which is right. */
const EITHER: JsonObject = { "x-kubernetes-preserve-unknown-fields": true };

const TEXT_MAP: JsonObject = { type: "object", additionalProperties: bounded(8_192), maxProperties: 64 };

const REQUEST: JsonObject = {
  type: "object",
  properties: {
    method: EITHER,
    methods: EITHER,
    path: EITHER,
    paths: EITHER,
    host: bounded(253),
    headers: TEXT_MAP,
  },
};

const TEST: JsonObject = {
  type: "object",
  properties: {
    name: bounded(256, { minLength: 1 }),
    from: EITHER,
    to: EITHER,
    protocol: { type: "string", enum: ["http", "tcp"] },
    request: REQUEST,
    expect: { type: "string", enum: ["allow", "deny"] },
    policy: bounded(512, { minLength: 1 }),
  },
  required: ["name", "from", "expect"],
  "x-kubernetes-validations": [
    rule("!has(self.protocol) || self.protocol != 'tcp' || !has(self.request)", "a test of tcp has no request"),
    rule("!has(self.protocol) || self.protocol != 'http' || has(self.request)", "a test of http needs a request"),
    rule(
      "!has(self.policy) || self.policy.matches('^[a-z0-9-]+/[a-z0-9.-]+$')",
      "policy is namespace/name of the policy that decides",
    ),
  ],
};

/**
 * PolicyTest: documents that lie beside policies, so that a directory of both can be applied as it is. The cluster keeps
 * them; `cardea policy test` runs them.
 */
export const POLICY_TEST_CRD: JsonObject = crd({
  group: "cardea.dev",
  kind: "PolicyTest",
  plural: "policytests",
  shortNames: ["pt"],
  categories: ["cardea"],
  versions: ["v1"],
  hasStatus: false,
  columns: [],
  spec: {
    type: "object",
    properties: { to: EITHER, tests: listOfAtMost(1_000, TEST, { minItems: 1 }) },
    required: ["tests"],
  },
});
