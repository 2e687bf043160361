import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { readPolicyTexts } from "../../../src/io/policy-directory.ts";
import { checkPolicies } from "../../../src/policy/analysis/check/check-policies.ts";
import { runPolicyTests } from "../../../src/policy/analysis/run-policy-tests.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../src/policy/mesh-settings.ts";
import { normalizePath } from "../../../src/wire/path.ts";

// What `cardea up` enforces when it is given nothing.
const texts = await readPolicyTexts([fileURLToPath(new URL("../../../policies", import.meta.url))]);
const { documents, tests, faults } = parsePolicyFiles(texts.files);
const report = runPolicyTests(tests, {
  documents,
  settings: DEFAULT_MESH_SETTINGS,
  normalizePath: (path) => {
    const normalized = normalizePath(path, DEFAULT_MESH_SETTINGS.pathNormalization);
    return normalized.ok ? normalized.pathForMatch : null;
  },
});

test("the sample's policies have neither faults nor warnings", () => {
  const settings = DEFAULT_MESH_SETTINGS;
  const about = { about: documents, documents, settings, workloads: null, nowMs: Date.now(), stepsMax: 100_000_000 };
  const checked = checkPolicies(about);
  expect([...texts.faults, ...faults, ...checked.findings]).toEqual([]);
  expect(checked.unknown).toBe(0);
  expect(documents.map((policy) => policy.id).toSorted()).toEqual([
    "cardea-system/deny-all",
    "ledger/ledger",
    "payments/admin-is-for-ops",
    "payments/payments",
    "shop/orders",
  ]);
});

test("their tests hold, and more of them deny than allow", () => {
  expect(report.results.filter((result) => !result.isPassed)).toEqual([]);
  const allowed = report.results.filter((result) => result.actual === "allow").length;
  expect(allowed).toBeGreaterThan(5);
  expect(report.results.length - allowed).toBeGreaterThan(allowed);
});

test("every rule is touched by a test", () => {
  expect(report.coverage.length).toBeGreaterThan(4);
  expect(report.coverage.filter((rule) => !rule.isCovered)).toEqual([]);
});
