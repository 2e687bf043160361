const UNITS = [
  "test/unit/policy/decide.test.ts",
  "test/unit/policy/bindings.test.ts",
  "test/unit/policy/identity-matcher.test.ts",
  "test/unit/policy/observation.test.ts",
  "test/unit/policy/request-auth.test.ts",
];
const DOCUMENTS = ["test/unit/policy/document.test.ts", "test/unit/policy/condition-and-values.test.ts", ...UNITS];
const MATCHERS = ["test/unit/policy/matcher.property.test.ts", ...UNITS];
const LOOKUPS = [
  "test/unit/policy/lookup/tries.property.test.ts",
  "test/unit/policy/lookup/decision-tree.property.test.ts",
];
const ORACLE = ["test/unit/policy/oracle.test.ts", "test/unit/policy/istio-bound.test.ts"];

const LAYERS = "test/unit/policy/layered-table.property.test.ts";

/** What decides, with the tests that are asked of each, the quick ones first. */
export const TESTED: ReadonlyMap<string, readonly string[]> = new Map([
  ["src/policy/decide.ts", [...UNITS, ...ORACLE]],
  ["src/policy/compile.ts", [...UNITS, ...ORACLE, LAYERS]],
  ["src/policy/layered-table.ts", [LAYERS]],
  ["src/policy/rule-table.ts", [...UNITS, ...ORACLE, LAYERS]],
  ["src/policy/bound-rules.ts", [...UNITS, ...ORACLE, LAYERS]],
  ["src/policy/clause-test.ts", [...UNITS, ...ORACLE]],
  ["src/policy/normal-form.ts", [...UNITS, ...ORACLE]],
  ["src/policy/request-lookup.ts", [...UNITS, ...ORACLE]],
  ["src/policy/peer-lookup.ts", [...UNITS, ...ORACLE]],
  ["src/policy/lookup/text-trie.ts", LOOKUPS],
  ["src/policy/lookup/code-map.ts", LOOKUPS],
  ["src/policy/lookup/template-trie.ts", LOOKUPS],
  ["src/policy/lookup/pattern-index.ts", LOOKUPS],
  ["src/policy/lookup/text-patterns.ts", [...UNITS, ...ORACLE]],
  ["src/policy/lookup/choose-split.ts", LOOKUPS],
  ["src/policy/lookup/decision-tree.ts", LOOKUPS],
  ["src/policy/lookup/search-tree.ts", LOOKUPS],
  ["src/policy/identity-matcher.ts", [...UNITS, ...ORACLE]],
  ["src/policy/matcher.ts", [...MATCHERS, ...ORACLE]],
  ["src/policy/claims.ts", [...UNITS, ...ORACLE]],
  ["src/policy/path-template.ts", [...MATCHERS, ...DOCUMENTS, ...LOOKUPS, ...ORACLE]],
  ["src/policy/select.ts", [...UNITS, "test/unit/policy/explain.test.ts", ...ORACLE]],
  ["src/policy/attributes.ts", [...DOCUMENTS, ...ORACLE]],
  ["src/policy/decision.ts", UNITS],
  ["src/policy/values.ts", DOCUMENTS],
  ["src/policy/condition.ts", DOCUMENTS],
  ["src/policy/rule.ts", DOCUMENTS],
  ["src/policy/document.ts", DOCUMENTS],
]);
