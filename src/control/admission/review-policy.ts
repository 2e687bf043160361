import { parsePolicyObject } from "../../config/policy-files.ts";
import type { Fault } from "../../core/located.ts";
import { isJsonObject, type JsonObject, memberOf } from "../../core/json-value.ts";
import { LIMITS } from "../../core/limits.ts";
import { checkPolicies } from "../../policy/analysis/check/check-policies.ts";
import type { PolicyFinding } from "../../policy/analysis/check/policy-finding.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import type { AuthenticationDocument } from "../../policy/authentication/document.ts";
import { lintPeers } from "../../policy/authentication/lint-peers.ts";
import { lintTraffic } from "../../traffic/lint.ts";
import type { AdmissionRequest } from "./review.ts";
import { type PolicyWorld, reportPolicy, reportSelection } from "./staged-report.ts";
import { admitted, type Verdict } from "./verdict.ts";

/**
 * What we say of a policy or a traffic rule: the same faults as `cardea policy check`, and as warnings what it says of
 * lesser things and what the object would touch now. An object on its way out is let go, whatever it says; one that was
 * as faulty before may be kept, or nobody could label it.
 */
export function reviewPolicy(request: AdmissionRequest, world: PolicyWorld): Verdict {
  const { object, oldObject, kind } = request;
  if (memberOf(memberOf(object, "metadata"), "deletionTimestamp") !== undefined) return admitted();
  const parsed = parsePolicyObject(withName(object, request), kind.kind);
  const faults = parsed.faults.map(describe);
  if (faults.length > 0) return refuse(faults, oldObject, request);
  const [policy] = parsed.documents;
  const [authentication] = parsed.authentication;
  const [rule] = parsed.traffic;
  if (policy !== undefined) {
    const before = oldObject === null ? [] : parsePolicyObject(withName(oldObject, request), kind.kind).documents;
    const warnings = check(policy, world).map((finding) => `${describe(finding)} [${finding.code}]`);
    return admitted([...reportPolicy(policy, before[0] ?? null, world), ...warnings]);
  }
  if (authentication !== undefined) return admitted(reportAuthentication(authentication, world));
  if (rule === undefined) return { allowed: false, code: 400, message: `${kind.kind} is not reviewed`, warnings: [] };
  // The others are there so that subsets and other routes of the same host are known.
  const others = world.traffic().filter((each) => each.kind !== rule.kind || each.id !== rule.id);
  const warnings = lintTraffic([...others, rule], world.services());
  return admitted(warnings.filter(({ file }) => file === rule.source.file).map(describe));
}

/** Selectors that match nothing are told of already, by whom the policy selects. */
function check(policy: AuthorizationPolicy, world: PolicyWorld): readonly PolicyFinding[] {
  const documents = [...world.policies().filter(({ id }) => id !== policy.id), policy];
  const stepsMax = LIMITS.policyReviewStepsMax;
  const { settings } = world;
  const authentication = world.authentication();
  const known = { settings, workloads: null, authentication, isMeshKnown: true, nowMs: world.nowMs() };
  return checkPolicies({ about: [policy], documents, ...known, stepsMax }).findings;
}

/** The others are there so that one of the same rank is known. */
function reportAuthentication(document: AuthenticationDocument, world: PolicyWorld): readonly string[] {
  const others = world.authentication().filter((each) => each.kind !== document.kind || each.id !== document.id);
  const { rootNamespace } = world.settings;
  const warnings = lintPeers([...others, document], { rootNamespace, workloads: null });
  const own = warnings.filter(({ file }) => file === document.source.file).map(describe);
  return own.length > 0 ? own : reportSelection(document, world);
}

function refuse(faults: readonly string[], oldObject: JsonObject | null, request: AdmissionRequest): Verdict {
  const before = oldObject === null ? [] : faultsOf(oldObject, request);
  const isNew = faults.some((fault) => !before.includes(fault));
  if (!isNew) return admitted(faults.map((fault) => `still not in force: ${fault}`));
  return { allowed: false, code: 422, message: faults.join("\n"), warnings: [] };
}

function faultsOf(object: JsonObject, request: AdmissionRequest): readonly string[] {
  return parsePolicyObject(withName(object, request), request.kind.kind).faults.map(describe);
}

/** kubectl names the object itself. */
function describe({ field, message }: Fault): string {
  return field === "" ? message : `${field}: ${message}`;
}

/** Before an object is stored the server may not have written into it what it was asked for beside it. */
function withName(object: JsonObject, { name, namespace }: AdmissionRequest): JsonObject {
  const metadata = memberOf(object, "metadata");
  const given = isJsonObject(metadata) ? metadata : {};
  const generated = memberOf(given, "generateName");
  const named = name !== "" ? name : typeof generated === "string" ? `${generated}0` : undefined;
  return {
    ...object,
    metadata: {
      ...(named === undefined ? {} : { name: named }),
      ...(namespace === "" ? {} : { namespace }),
      ...given,
    },
  };
}
