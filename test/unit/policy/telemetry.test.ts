import { describe, expect, test } from "vitest";
import { parsePolicyFiles } from "../../../src/config/policy-files.ts";
import { formatFault } from "../../../src/core/located.ts";
import { resolveAccessLog, telemetriesOf } from "../../../src/policy/access-log.ts";
import { resolveTracing } from "../../../src/policy/tracing-choice.ts";

function telemetry(spec: string, name = "t", namespace = "shop", version = "v1"): string {
  return `apiVersion: telemetry.istio.io/${version}\nkind: Telemetry\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
}

function read(...texts: readonly string[]) {
  return parsePolicyFiles([{ path: "t.yaml", text: texts.join("---\n") }]);
}

const OFF = "{accessLogging: [{disabled: true}]}";
const ON = "{accessLogging: [{disabled: false}]}";
const MANY_TAGS = Array.from({ length: 33 }, (_, i) => `t${i}: {literal: {value: v}}`).join(", ");
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

describe("traces", () => {
  const NOTHING = { samplingPercentage: null, isReporting: true, tags: [] };

  test("are as the mesh's settings say where nobody says anything", () => {
    expect(chosen(telemetry(OFF))).toEqual({ client: NOTHING, server: NOTHING });
  });

  test("are sampled as the nearest says, in each matter by itself", () => {
    const { client, server } = chosen(
      telemetry("{tracing: [{randomSamplingPercentage: 5, customTags: {env: {literal: {value: prod}}}}]}", "t", "root"),
      telemetry("{tracing: [{disableSpanReporting: true}]}"),
      telemetry(
        `{${APP}, tracing: [{match: {mode: SERVER}, randomSamplingPercentage: 0.5, disableSpanReporting: false}]}`,
        "w",
      ),
    );
    expect(client).toEqual({ samplingPercentage: 5, isReporting: false, tags: [["env", "prod"]] });
    expect(server).toEqual({ samplingPercentage: 0.5, isReporting: true, tags: [["env", "prod"]] });
  });

  test("have the tags of the nearest that has any, and no others", () => {
    const { server } = chosen(
      telemetry("{tracing: [{customTags: {a: {literal: {value: mesh}}, b: {literal: {value: mesh}}}}]}", "t", "root"),
      telemetry("{tracing: [{customTags: {a: {literal: {value: shop}}}}]}"),
    );
    expect(server.tags).toEqual([["a", "shop"]]);
  });

  test("are not changed by documents of access logs that come first by name", () => {
    const { server } = chosen(telemetry(OFF, "a"), telemetry("{tracing: [{randomSamplingPercentage: 7}]}", "b"));
    expect(server.samplingPercentage).toBe(7);
  });

  test("are not changed by what is said of others", () => {
    const other = telemetry("{selector: {matchLabels: {app: x}}, tracing: [{randomSamplingPercentage: 100}]}");
    expect(chosen(other)).toEqual({ client: NOTHING, server: NOTHING });
  });
});

describe("a Telemetry is a fault with", () => {
  test.each([
    ["metrics", "{metrics: [{}]}", "spec.metrics: is not supported"],
    ["nothing that is read", "{}", "spec.accessLogging: is required, or `tracing`"],
    ["a provider of traces", "{tracing: [{providers: [{name: otel}]}]}", "tracing[0].providers: is not supported"],
    ["Istio's tags", "{tracing: [{enableIstioTags: true}]}", "tracing[0].enableIstioTags: is not supported"],
    [
      "sampling by request id",
      "{tracing: [{useRequestIdForTraceSampling: true}]}",
      "is not supported: traces are sampled",
    ],
    ["more than all traces", "{tracing: [{randomSamplingPercentage: 100.5}]}", "a number from 0 to 100, found 100.5"],
    ["a share in words", '{tracing: [{randomSamplingPercentage: "1"}]}', "a number from 0 to 100"],
    ["a tag of a header", "{tracing: [{customTags: {a: {header: {name: x}}}}]}", "header: is not supported"],
    [
      "a tag of the environment",
      "{tracing: [{customTags: {a: {environment: {name: x}}}}]}",
      "environment: is not supported",
    ],
    ["a tag without a value", "{tracing: [{customTags: {a: {literal: {}}}}]}", "literal.value: is required"],
    [
      "a tag with a long name",
      `{tracing: [{customTags: {${"a".repeat(101)}: {literal: {value: b}}}}]}`,
      "1 to 100 characters",
    ],
    ["too many tags", `{tracing: [{customTags: {${MANY_TAGS}}}]}`, "has more than 32 tags"],
    ["no tracing", "{tracing: []}", "must not be an empty list"],
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

/** What is said of the traces of orders in shop. */
function chosen(...texts: readonly string[]) {
  const { authentication, faults } = read(...texts);
  expect(faults).toEqual([]);
  return resolveTracing(telemetriesOf(authentication), { namespace: "shop", labels: { app: "orders" } }, "root");
}
