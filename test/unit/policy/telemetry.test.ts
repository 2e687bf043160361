import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { formatFault } from "../../../src/core/located.ts";
import { resolveAccessLog, telemetriesOf } from "../../../src/policy/access-log.ts";

function telemetry(spec: string, name = "t", namespace = "shop", version = "v1"): string {
  return `apiVersion: telemetry.istio.io/${version}\nkind: Telemetry\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
}

function read(...texts: readonly string[]) {
  return parsePolicyFiles([{ path: "t.yaml", text: texts.join("---\n") }]);
}

const OFF = "{accessLogging: [{disabled: true}]}";
const ON = "{accessLogging: [{disabled: false}]}";
const APP = "selector: {matchLabels: {app: orders}}";

/** As the caller, and as the called. */
function kept(texts: readonly string[], namespace = "shop"): string {
  const { authentication, faults } = read(...texts);
  expect(faults).toEqual([]);
  const workload = { namespace, labels: { app: "orders" } };
  const { isClientOn, isServerOn } = resolveAccessLog(telemetriesOf(authentication), workload, "root");
  return `${isClientOn ? "client" : "-"} ${isServerOn ? "server" : "-"}`;
}

describe("what is let through is recorded", () => {
  test.each<[string, readonly string[], string]>([
    ["where nobody says anything", [telemetry(OFF, "t", "other")], "client server"],
    [
      "where providers are named alone",
      [telemetry("{accessLogging: [{providers: [{name: envoy}]}]}")],
      "client server",
    ],
    ["not where the mesh says no", [telemetry(OFF, "t", "root")], "- -"],
    ["not where the namespace says no", [telemetry(OFF)], "- -"],
    ["where the namespace says yes over the mesh", [telemetry(OFF, "t", "root"), telemetry(ON)], "client server"],
    [
      "not where the namespace says nothing of it over the mesh",
      [telemetry(OFF, "t", "root"), telemetry("{accessLogging: [{providers: [{name: envoy}]}]}")],
      "- -",
    ],
    [
      "where the workload says yes over both",
      [telemetry(OFF, "t", "root"), telemetry(OFF), telemetry(`{${APP}, accessLogging: [{disabled: false}]}`, "w")],
      "client server",
    ],
    [
      "whatever is said of another workload",
      [telemetry("{selector: {matchLabels: {app: x}}, accessLogging: [{disabled: true}]}")],
      "client server",
    ],
    [
      "whatever the root namespace says with labels",
      [telemetry(`{${APP}, accessLogging: [{disabled: true}]}`, "t", "root")],
      "client server",
    ],
    ["as the caller alone", [telemetry("{accessLogging: [{match: {mode: SERVER}, disabled: true}]}")], "client -"],
    ["as the called alone", [telemetry("{accessLogging: [{match: {mode: CLIENT}, disabled: true}]}")], "- server"],
    [
      "as the later of two items says",
      [telemetry("{accessLogging: [{disabled: true}, {match: {mode: SERVER}, disabled: false}]}")],
      "- server",
    ],
    ["as the first by name says", [telemetry(OFF, "b"), telemetry(ON, "a")], "client server"],
    ["as v1alpha1 says", [telemetry(OFF, "t", "shop", "v1alpha1")], "- -"],
  ])("%s", (_name, texts, expected) => {
    expect(kept(texts)).toBe(expected);
  });

  test("in the root namespace as the mesh says", () => {
    expect(kept([telemetry(OFF, "t", "root")], "root")).toBe("- -");
  });
});

describe("a Telemetry is a fault with", () => {
  test.each([
    ["metrics", "{metrics: [{}]}", "spec.metrics: is not supported"],
    ["tracing", "{accessLogging: [{}], tracing: [{}]}", "spec.tracing: is not supported"],
    ["nothing that is read", "{}", "spec.accessLogging: is required"],
    ["an empty list", "{accessLogging: []}", "must not be an empty list"],
    [
      "a filter",
      "{accessLogging: [{filter: {expression: 'response.code >= 400'}}]}",
      "accessLogging[0].filter: is not supported",
    ],
    ["another provider", "{accessLogging: [{providers: [{name: otel}]}]}", '"otel" is not known here'],
    ["a mode that is none", "{accessLogging: [{match: {mode: BOTH}}]}", "match.mode: expected one of CLIENT"],
    ["disabled as a text", '{accessLogging: [{disabled: "true"}]}', "expected true or false"],
    ["targetRefs", "{targetRefs: [], accessLogging: [{}]}", "spec.targetRefs: is for gateways"],
    ["an unknown field", "{accessLogging: [{disable: true}]}", "did you mean `disabled`?"],
  ])("%s", (_name, spec, message) => {
    expect(read(telemetry(spec)).faults.map(formatFault).join("\n")).toContain(message);
  });
});
