import { POD_VARIABLES } from "../../config/pod-variables.ts";
import { isJsonList, type JsonValue, memberOf } from "../../core/json-value.ts";
import { type KubeApi, type KubeObject, keyOf } from "../../core/kube.ts";
import { KUBE } from "../../core/kube-resources.ts";
import { CONTAINERS } from "../inject/names.ts";
import { controlName } from "../kube/control-name.ts";

/** A pod's sidecar, as its definition has it. */
export interface SidecarFacts {
  readonly image: string;
  /** `host:port` of the control plane that it asks. */
  readonly control: string;
}

/** Null: the pod has none of ours. */
export function sidecarOf(pod: KubeObject): SidecarFacts | null {
  // What the API server sends is JSON.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const spec = pod["spec"] as JsonValue | undefined;
  for (const list of ["initContainers", "containers"]) {
    const found = itemsOf(memberOf(spec, list)).find((each) => memberOf(each, "name") === CONTAINERS.proxy);
    if (found === undefined) continue;
    const variables = itemsOf(memberOf(found, "env"));
    const control = variables.find((each) => memberOf(each, "name") === POD_VARIABLES.controlAddress.name);
    return { image: textOf(memberOf(found, "image")), control: textOf(memberOf(control, "value")) };
  }
  return null;
}

/** Pods that ask this revision's control plane, as `namespace/name`. Errors: those of KubeApi. */
export async function findSidecars(
  kube: Pick<KubeApi, "list">,
  { namespace, revision }: { readonly namespace: string; readonly revision: string | null },
): Promise<readonly string[]> {
  const { items } = await kube.list(KUBE.pods);
  const host = `${controlName(revision)}.${namespace}.svc`;
  return items.filter((pod) => sidecarOf(pod)?.control.split(":")[0] === host).map(keyOf);
}

function itemsOf(found: JsonValue | undefined): readonly JsonValue[] {
  return isJsonList(found) ? found : [];
}

function textOf(found: JsonValue | undefined): string {
  return typeof found === "string" ? found : "";
}
