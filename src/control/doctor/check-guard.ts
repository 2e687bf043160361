import { isJsonList, type JsonValue, valueAt } from "../../core/json-value.ts";
import type { KubeObject } from "../../core/kube.ts";
import { GUARD_NAME } from "../admission/sidecar-guard.ts";
import type { ClusterFacts } from "./cluster-facts.ts";
import { type Finding, reporter } from "./finding.ts";

/** Whether pods that nobody has injected are refused without us: any revision's guard holds for all. */
export function checkGuard({ admissionPolicies, admissionPolicyBindings, version }: ClusterFacts): readonly Finding[] {
  const { ok, warning, unknown } = reporter("guard");
  if (admissionPolicies === null || admissionPolicyBindings === null)
    return [unknown("validating admission policies cannot be listed")];
  const names = new Set(admissionPolicies.map(({ metadata }) => metadata.name).filter(isGuard));
  if (admissionPolicyBindings.some((each) => denies(each, names)))
    return [ok("the API server itself refuses pods that should have a sidecar and have none")];
  return [
    warning("pods that should have a sidecar start without one while a webhook configuration is missing", {
      mend: `apply the output of cardea install anew; it needs Kubernetes 1.30, and this is ${version ?? "of an unknown version"}`,
    }),
  ];
}

function isGuard(name: string): boolean {
  return name === GUARD_NAME || name.startsWith(`${GUARD_NAME}-`);
}

function denies(binding: KubeObject, guards: ReadonlySet<string>): boolean {
  // What the API server sends is JSON.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const spec = binding["spec"] as JsonValue | undefined;
  const name = valueAt(spec, ["policyName"]);
  const actions = valueAt(spec, ["validationActions"]);
  return typeof name === "string" && guards.has(name) && isJsonList(actions) && actions.includes("Deny");
}
