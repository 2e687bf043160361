import type { AuthorizationPolicy } from "../../document.ts";
import { isCustom, selectPolicies } from "../../select.ts";
import { portFits } from "./check-known.ts";
import type { CheckGround } from "./check-policies.ts";
import { findingAt, type PolicyFinding } from "./policy-finding.ts";

/** CUSTOM policies about which nobody can be asked: what they match is denied. */
export function checkCustom(about: readonly AuthorizationPolicy[], ground: CheckGround): readonly PolicyFinding[] {
  return about
    .filter(isCustom)
    .flatMap((policy) => [
      ...checkProvider(policy, ground),
      ...checkOthers(policy, ground),
      ...checkTcp(policy, ground),
    ]);
}

function checkProvider(policy: AuthorizationPolicy, { settings, isMeshKnown }: CheckGround): readonly PolicyFinding[] {
  const names = settings.extensionProviders.map(({ name }) => name);
  if (!isMeshKnown || policy.provider === null || names.includes(policy.provider)) return [];
  const there = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
  const message = `the mesh has no extension provider ${policy.provider}, so what the policy matches is denied; ${there}`;
  return [at(policy, "unknown-provider", message)];
}

/** Two servers for one workload: neither is asked. */
function checkOthers(policy: AuthorizationPolicy, ground: CheckGround): readonly PolicyFinding[] {
  const { documents, workloads, settings } = ground;
  const others = documents.filter((each) => isCustom(each) && each.provider !== policy.provider);
  if (workloads === null || others.length === 0) return [];
  for (const workload of workloads) {
    if (selectPolicies([policy], workload, settings.rootNamespace).length === 0) continue;
    const [other] = selectPolicies(others, workload, settings.rootNamespace);
    if (other === undefined) continue;
    const message = `of ${workload.name} ${other.id} asks ${other.provider}, and this policy ${policy.provider}: nobody is asked, and what they match is denied`;
    return [at(policy, "several-providers", message)];
  }
  return [];
}

function checkTcp(policy: AuthorizationPolicy, { workloads, settings }: CheckGround): readonly PolicyFinding[] {
  const provider = settings.extensionProviders.find(({ name }) => name === policy.provider);
  if (workloads === null || provider?.protocol !== "http") return [];
  const places = workloads
    .filter((workload) => selectPolicies([policy], workload, settings.rootNamespace).length > 0)
    .flatMap(({ name, ports }) => (ports ?? []).map((port) => ({ name, ...port })))
    .filter(({ port, protocols }) => !protocols.includes("http") && policy.rules.some((rule) => portFits(rule, port)));
  const [first, ...more] = places;
  if (first === undefined) return [];
  const where = `${first.name}:${first.port}${more.length === 0 ? "" : ` and ${more.length} more`}`;
  const message = `${provider.name} speaks HTTP, and cannot be asked about the bytes of ${where}: what the policy matches there is denied`;
  return [at(policy, "http-provider-on-tcp", message)];
}

function at(
  policy: AuthorizationPolicy,
  code: "unknown-provider" | "several-providers" | "http-provider-on-tcp",
  message: string,
): PolicyFinding {
  return findingAt(policy, { code, field: "spec.provider.name", line: policy.source.line }, message);
}
