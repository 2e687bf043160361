import { isSameJson, type JsonValue } from "../../core/json-value.ts";
import { permissionsOf, policyRules } from "../kube/permissions.ts";
import { webhookNames } from "../admission/webhook-configuration.ts";
import { CONTROL, LABELS } from "./names.ts";
import { choose, isSet, lift, namespace, type Template, type TemplateMap, value, when } from "./template.ts";

const RBAC = "rbac.authorization.k8s.io/v1";
const GROUP = "rbac.authorization.k8s.io";

/** Who the control plane is, and all that it may do (kube/permissions.ts). */
export function access(): readonly TemplateMap[] {
  const own = { name: CONTROL, namespace, labels: LABELS };
  const ofCluster = { name: CONTROL, labels: LABELS };
  const subjects = [{ kind: "ServiceAccount", name: CONTROL, namespace }];
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: own, automountServiceAccountToken: false },
    { apiVersion: RBAC, kind: "ClusterRole", metadata: ofCluster, rules: rules("cluster") },
    {
      apiVersion: RBAC,
      kind: "ClusterRoleBinding",
      metadata: ofCluster,
      roleRef: { apiGroup: GROUP, kind: "ClusterRole", name: CONTROL },
      subjects,
    },
    { apiVersion: RBAC, kind: "Role", metadata: own, rules: rules("own-namespace") },
    {
      apiVersion: RBAC,
      kind: "RoleBinding",
      metadata: own,
      roleRef: { apiGroup: GROUP, kind: "Role", name: CONTROL },
      subjects,
    },
  ];
}

/** A revision's rights are to its own names; to the default's webhooks if it serves them. */
function rules(scope: "cluster" | "own-namespace"): Template {
  const mark = "@revision";
  const unnamed = webhookNames(null);
  const marks = new Map<string, Template>([
    [unnamed.injector, when(isSet("defaultRevision"), unnamed.injector)],
    [unnamed.validator, when(isSet("defaultRevision"), unnamed.validator)],
    [mark, value("revision")],
  ]);
  const ofRevision = policyRules(scope, permissionsOf([mark, null])) as readonly JsonValue[];
  const ofDefault = policyRules(scope, permissionsOf([null])) as readonly JsonValue[];
  return ofRevision.map((each, index) => {
    const plain = ofDefault[index]!;
    if (isSameJson(each, plain)) return lift(plain, new Map());
    return choose(isSet("revision"), lift(each, marks), lift(plain, new Map()));
  });
}
