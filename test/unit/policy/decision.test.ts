import { expect, test } from "vitest";
import {
  type Decision,
  defaultDecision,
  NO_ALLOW_RULE_MATCHED,
  plaintextRefused,
  POLICY_NOT_LOADED,
  ruleDecision,
  TOKEN_REASONS,
} from "../../../src/policy/decision.ts";
import type { GrantTerms } from "../../../src/policy/document-parts.ts";

// What is denied, by whom and why, in the words that records, metrics and the command line show.

const GRANT: GrantTerms = { fromMs: 1, untilMs: 2, ticket: "INC-7", requestedBy: "ada", isBreakGlass: false };

const denied = (reason: string, policy: string | null, rule: number | null = null) => ({
  allow: false,
  policy,
  rule,
  reason,
});

test.each<readonly [Decision, object]>([
  [POLICY_NOT_LOADED, denied("policy-not-loaded", null)],
  [NO_ALLOW_RULE_MATCHED, denied("no-allow-rule-matched", null)],
  [plaintextRefused("shop/strict"), denied("plaintext-refused", "shop/strict")],
  [plaintextRefused(null), denied("plaintext-refused", null)],
  [defaultDecision("DENY"), denied("default-action", "mesh/default")],
  [ruleDecision("DENY", { id: "shop/p", terms: null }, 3), denied("deny-rule-matched", "shop/p", 3)],
  // Terms are of grants: a denial has none of them, whatever its policy's annotations say.
  [ruleDecision("DENY", { id: "shop/p", terms: GRANT }, 0), denied("deny-rule-matched", "shop/p", 0)],
  [
    ruleDecision("DENY", { id: "shop/p", terms: { ...GRANT, isBreakGlass: true } }, 0),
    denied("deny-rule-matched", "shop/p", 0),
  ],
])("denied, and nobody can change that for those who come later: %o", (decision, wanted) => {
  expect(decision).toStrictEqual(wanted);
  expect(Object.isFrozen(decision)).toBe(true);
});

test.each<readonly [Decision, object]>([
  [defaultDecision("ALLOW"), { policy: "mesh/default", rule: null, reason: "default-action" }],
  [
    ruleDecision("ALLOW", { id: "shop/p", terms: null }, 1),
    { policy: "shop/p", rule: 1, reason: "allow-rule-matched" },
  ],
  [
    ruleDecision("ALLOW", { id: "shop/p", terms: GRANT }, 0),
    { policy: "shop/p", rule: 0, reason: "allow-rule-matched", ticket: "INC-7" },
  ],
  [
    ruleDecision("ALLOW", { id: "shop/p", terms: { ...GRANT, ticket: null } }, 0),
    { policy: "shop/p", rule: 0, reason: "allow-rule-matched" },
  ],
  [
    ruleDecision("ALLOW", { id: "shop/p", terms: { ...GRANT, isBreakGlass: true } }, 0),
    { policy: "shop/p", rule: 0, reason: "break-glass", ticket: "INC-7" },
  ],
])(
  "allowed, with the ticket of a grant that has one, and told apart where it breaks the glass: %o",
  (decision, wanted) => {
    expect(decision).toStrictEqual({ allow: true, ...wanted });
    expect(Object.isFrozen(decision)).toBe(true);
  },
);

test("what tokens are refused for", () => {
  expect(TOKEN_REASONS).toEqual(["token-invalid", "token-missing", "token-audience"]);
});
