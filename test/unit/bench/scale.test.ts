import { describe, expect, test } from "vitest";
import { replaceSection } from "../../../bench/path/readme.ts";
import { parseScaleArguments } from "../../../bench/scale/arguments.ts";
import { planChanges } from "../../../bench/scale/changes.ts";
import { runCompile } from "../../../bench/scale/compile.ts";
import { simulateRenewals } from "../../../bench/scale/renewals.ts";
import { createWorld, serviceResource } from "../../../bench/scale/world.ts";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { parseRegistryFile } from "../../../src/control/distribute/registry-documents.ts";
import { formatFault } from "../../../src/core/located.ts";
import { readProjectFile } from "../house/project-files.ts";

const SIZE = { sidecars: 30, services: 15, policies: 20 };

test("without words a thousand sidecars see two hundred changes", () => {
  expect(parseScaleArguments([])).toEqual({
    task: "churn",
    sidecars: 1_000,
    services: 500,
    policies: 100,
    changes: 200,
    seconds: 10,
    slow: 10,
    jsonFile: null,
    isForReadme: false,
  });
});

test.each([
  ["no number", ["--sidecars", "many"], "--sidecars: expected a whole number"],
  ["none at all", ["--services", "0"], "--services: expected a whole number"],
  ["too many", ["--sidecars", "1000000"], "--sidecars: expected a whole number"],
  ["two runs at once", ["--issue", "--renewals"], "--issue and --renewals are two runs"],
  ["a word that is none", ["--sidecar", "3"], "sidecar"],
])("%s is refused", (_name, words, message) => {
  expect(() => parseScaleArguments(words)).toThrow(message);
});

describe("the world", () => {
  const world = createWorld(SIZE);

  test("is one that the control plane reads", () => {
    const faults = world.registry.flatMap(({ name, text }) => {
      const found: Parameters<typeof parseRegistryFile>[2] = [];
      parseRegistryFile(text, name, found);
      return found.map(formatFault);
    });
    const policies = parsePolicyFiles(world.policies.map(({ name, text }) => ({ path: name, text })));
    expect([...faults, ...policies.faults.map(formatFault)]).toEqual([]);
    expect(policies.documents).toHaveLength(21);
  });

  test("has a workload for each sidecar, and services for it to use", () => {
    const documents = world.registry.map(({ name, text }) => parseRegistryFile(text, name, [])!);
    const services = new Set(Array.from({ length: 15 }, (_, index) => serviceResource(index)));
    expect(documents.flatMap(({ workloads }) => workloads)).toHaveLength(30);
    expect(world.sidecars.every(({ uses }) => uses.length > 1 && uses.every((name) => services.has(name)))).toBe(true);
  });

  test("changes in several ways, each of which concerns somebody", () => {
    const kinds = planChanges(SIZE, world.sidecars, 20);
    expect(kinds.map(({ changes }) => changes.length)).toEqual([12, 4, 2, 2, 2]);
    const used = new Set(world.sidecars.flatMap(({ uses }) => uses));
    const concerned = kinds.flatMap(({ changes }) => changes.map(({ expectation }) => expectation.concerns));
    expect(concerned.every((each) => each.who !== "users" || each.services.every((name) => used.has(name)))).toBe(true);
  });
});

test("the renewals of a simulated half day are counted", () => {
  const { mean, worstOfHour } = simulateRenewals({ sidecars: 1_000 });
  expect(mean).toBeCloseTo(1_000 / (3_600 * 0.45), 1);
  expect(worstOfHour).toHaveLength(12);
});

test("policies are read, selected and compiled", () => {
  expect(runCompile({ ...parseScaleArguments([]), ...SIZE })).toMatchObject({ policies: 21, workloads: 30 });
});

test.each(["churn", "issue", "renewals", "policies"])("the README has a place for %s", (task) => {
  expect(replaceSection(readProjectFile("bench/scale/README.md"), `scale-${task}`, "new")).toContain("\nnew\n");
});
