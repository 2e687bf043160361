const UNITS = [
  "test/unit/policy/decide.test.ts",
  "test/unit/policy/bindings.test.ts",
  "test/unit/policy/identity-matcher.test.ts",
  "test/unit/policy/observation.test.ts",
  "test/unit/policy/request-auth.test.ts",
];
const DOCUMENTS = ["test/unit/policy/document.test.ts", "test/unit/policy/condition-and-values.test.ts", ...UNITS];
const MATCHERS = ["test/unit/policy/matcher.property.test.ts", ...UNITS];
const TRIES = ["test/unit/policy/lookup/tries.property.test.ts"];
const TREES = [
  "test/unit/policy/lookup/choose-split.test.ts",
  "test/unit/policy/lookup/decision-tree.test.ts",
  "test/unit/policy/lookup/decision-tree.property.test.ts",
];
const LOOKUPS = ["test/unit/policy/request-lookup.property.test.ts", "test/unit/policy/peer-lookup.property.test.ts"];
const ORACLE = ["test/unit/policy/oracle.test.ts", "test/unit/policy/istio-bound.test.ts"];

/** Whole worlds, which take long. */
export const SLOW: ReadonlySet<string> = new Set([...ORACLE, "test/unit/policy/layered-table.property.test.ts"]);

const RULE_TABLE = "test/unit/policy/rule-table.test.ts";
const TIMES = "test/unit/policy/grant-terms.test.ts";
const CUSTOM = "test/unit/policy/custom.test.ts";
const TOKENS = [
  "test/unit/policy/authentication/request-authentication.test.ts",
  "test/unit/policy/authentication/verify-token.test.ts",
  "test/unit/proxy/authenticate.test.ts",
  "test/unit/policy/documented-tokens.test.ts",
];
const SETTINGS_OF_PEERS = "test/unit/policy/authentication/mutual-tls.test.ts";
const PLAINTEXT = [
  "test/unit/policy/authentication/peer-authentication.test.ts",
  "test/unit/policy/authentication/resolve-peer.test.ts",
  "test/unit/policy/authentication/see-peer.test.ts",
];
const LAYERS = "test/unit/policy/layered-table.property.test.ts";

/** What decides, with the tests that are asked of each, the quick ones first. */
export const TESTED: ReadonlyMap<string, readonly string[]> = new Map([
  ["src/policy/decide.ts", [...UNITS, ...ORACLE]],
  ["src/policy/compile.ts", [...UNITS, ...ORACLE, LAYERS]],
  ["src/policy/layered-table.ts", [LAYERS]],
  ["src/policy/rule-table.ts", [RULE_TABLE, ...UNITS, ...ORACLE, LAYERS]],
  ["src/policy/bound-rules.ts", [RULE_TABLE, ...UNITS, ...ORACLE, LAYERS]],
  ["src/policy/clause-test.ts", ["test/unit/policy/clause-test.test.ts", ...UNITS, ...ORACLE]],
  ["src/policy/normal-form.ts", ["test/unit/policy/normal-form.test.ts", ...ORACLE]],
  ["src/policy/request-lookup.ts", ["test/unit/policy/request-lookup.property.test.ts", ...ORACLE]],
  [
    "src/policy/peer-lookup.ts",
    ["test/unit/policy/peer-lookup.test.ts", "test/unit/policy/peer-lookup.property.test.ts", ...ORACLE],
  ],
  ["src/policy/lookup/text-trie.ts", TRIES],
  ["src/policy/lookup/code-map.ts", TRIES],
  ["src/policy/lookup/template-trie.ts", TRIES],
  ["src/policy/lookup/pattern-index.ts", TRIES],
  ["src/policy/lookup/text-patterns.ts", LOOKUPS],
  ["src/policy/lookup/choose-split.ts", TREES],
  ["src/policy/lookup/decision-tree.ts", TREES],
  ["src/policy/lookup/search-tree.ts", TREES],
  [
    "src/policy/identity-matcher.ts",
    [
      "test/unit/policy/identity-aliases.test.ts",
      "test/unit/policy/identity-matcher.property.test.ts",
      UNITS[2]!,
      ...ORACLE,
    ],
  ],
  ["src/policy/matcher.ts", [MATCHERS[0]!, "test/unit/policy/claims.test.ts", ...UNITS, ...ORACLE]],
  ["src/policy/claims.ts", ["test/unit/policy/claims.test.ts", "test/unit/policy/request-auth.test.ts"]],
  ["src/policy/path-template.ts", [MATCHERS[0]!, ...DOCUMENTS.slice(0, 2), ...TRIES, ...ORACLE]],
  [
    "src/policy/select.ts",
    ["test/unit/policy/select.test.ts", ...UNITS, "test/unit/policy/explain.test.ts", ...ORACLE],
  ],
  ["src/policy/attributes.ts", [...DOCUMENTS, ...ORACLE]],
  ["src/policy/decision.ts", ["test/unit/policy/decision.test.ts"]],
  ["src/policy/values.ts", DOCUMENTS],
  ["src/policy/condition.ts", DOCUMENTS],
  ["src/policy/rule.ts", DOCUMENTS],
  ["src/policy/document.ts", ["test/unit/policy/document-actions.test.ts", ...DOCUMENTS]],
  ["src/policy/document-parts.ts", ["test/unit/policy/document-parts.test.ts"]],
  ["src/policy/grant-times.ts", ["test/unit/policy/grant-times.test.ts", TIMES]],
  ["src/policy/custom.ts", ["test/unit/policy/select.test.ts", CUSTOM]],
  ["src/policy/custom-match.ts", ["test/unit/policy/custom-match.test.ts", CUSTOM]],
  ["src/policy/mesh-settings.ts", ["test/unit/policy/mesh-settings.test.ts"]],
  ["src/policy/extension-provider.ts", ["test/unit/policy/extension-provider.test.ts"]],
  ["src/policy/authentication/document.ts", [...TOKENS, ...PLAINTEXT]],
  ["src/policy/authentication/find-tokens.ts", TOKENS],
  ["src/policy/authentication/jwt-rule.ts", TOKENS],
  ["src/policy/authentication/key-set.ts", TOKENS],
  ["src/policy/authentication/key-source.ts", ["test/unit/policy/authentication/key-source.test.ts"]],
  ["src/policy/authentication/kinds.ts", [SETTINGS_OF_PEERS]],
  ["src/policy/authentication/metadata.ts", [SETTINGS_OF_PEERS]],
  ["src/policy/authentication/mutual-tls.ts", [SETTINGS_OF_PEERS]],
  ["src/policy/authentication/peer-authentication.ts", PLAINTEXT.slice(0, 2)],
  ["src/policy/authentication/request-authentication.ts", TOKENS],
  ["src/policy/authentication/resolve-peer.ts", [PLAINTEXT[1]!]],
  ["src/policy/authentication/token.ts", TOKENS],
  ["src/policy/authentication/verify-token.ts", TOKENS],
]);

/** Files of the engine of which no decision is made, each with why. */
export const BESIDE_DECISIONS: ReadonlyMap<string, string> = new Map([
  ["src/policy/access-log.ts", "says which flows are recorded"],
  ["src/policy/clause.ts", "types alone"],
  ["src/policy/explain.ts", "says of a decision why it was made"],
  ["src/policy/facts.ts", "types alone"],
  ["src/policy/finding.ts", "words of explanations"],
  ["src/policy/grant.ts", "words of a policy that would grant"],
  ["src/policy/interpret.ts", "what the compiled form is compared with"],
  ["src/policy/nearest.ts", "explanations of denials"],
  ["src/policy/observation.ts", "how a rule is named in records"],
  ["src/policy/rule-check.ts", "explanations, rule by rule"],
  ["src/policy/telemetry.ts", "says which flows are recorded"],
  ["src/policy/unrecorded.ts", "says what records do not carry"],
  ["src/policy/tracing-choice.ts", "says which spans are reported"],
  ["src/policy/missing.ts", "says what a record lacks to be decided again"],
  ["src/policy/authentication/lint-peers.ts", "findings about documents"],
  ["src/policy/authentication/lint-rank.ts", "findings about documents"],
  ["src/policy/authentication/lint-telemetries.ts", "findings about documents"],
  ["src/policy/authentication/output-headers.ts", "what the app is told of a token that was taken"],
  ["src/policy/authentication/see-peer.ts", "what analyses and the command line ask in a sidecar's place"],
  ["src/policy/lookup/lookup.ts", "types alone"],
]);
