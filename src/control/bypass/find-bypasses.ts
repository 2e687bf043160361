import type { JsonValue } from "../../core/json-value.ts";
import { injectPod } from "../inject/inject-pod.ts";
import { type NamespaceFacts, Refused } from "../inject/injection.ts";
import { INJECT_LABEL } from "../inject/names.ts";
import { decideOptIn } from "../inject/opt-in.ts";
import { readPodMetadata } from "../inject/pod-shape.ts";
import type { InjectSettings } from "../inject/settings.ts";
import { type BypassFinding, finding } from "./bypass-finding.ts";
import { checkContainers } from "./check-containers.ts";
import { checkHost } from "./check-host.ts";
import { checkSecurity } from "./check-security.ts";
import { checkSidecar, hasSidecar } from "./check-sidecar.ts";
import { checkTraffic } from "./check-traffic.ts";

export interface BypassOptions {
  readonly namespace: NamespaceFacts;
  readonly settings: InjectSettings;
  /** For files: who names them asks for it, where neither pod nor namespace says anything. */
  readonly whenUnsaid: boolean;
  /** `template`: as an author writes it, before injection. `admitted`: after all webhooks, so the sidecar must be there. */
  readonly stage: "template" | "admitted";
}

/** Every way around the mesh of a pod, in the order of its checks. A pod outside of the mesh has none. Never throws. */
export function findBypasses(pod: JsonValue, options: BypassOptions): readonly BypassFinding[] {
  const membership = membershipOf(pod, options);
  if (membership.is === "outside") return [];
  if (membership.is === "opted-out") return [finding("opted-out", ["metadata"], membership.why)];
  if (membership.is === "unclear") return [finding("not-injectable", [], membership.why)];
  return [...checkWhole(pod, options), ...checkInjected(pod, options)];
}

/** The checks that need nothing but the pod. */
export function checkWhole(pod: JsonValue, { settings }: Pick<BypassOptions, "settings">): readonly BypassFinding[] {
  return [
    ...checkHost(pod),
    ...checkSecurity(pod),
    ...checkTraffic(pod),
    ...checkContainers(pod, settings.tokenAudience),
  ];
}

type Membership =
  | { readonly is: "meshed" | "outside" }
  | { readonly is: "opted-out" | "unclear"; readonly why: string };

function membershipOf(pod: JsonValue, { namespace, settings, whenUnsaid }: BypassOptions): Membership {
  const options = { excludedNamespaces: settings.excludedNamespaces, whenUnsaid };
  try {
    const optIn = decideOptIn(readPodMetadata(pod), namespace, options);
    if (optIn.wanted) return { is: "meshed" };
    const isMeshed = decideOptIn({ labels: {}, annotations: {} }, namespace, options).wanted;
    return isMeshed ? { is: "opted-out", why: optIn.why } : { is: "outside" };
  } catch (thrown) {
    if (thrown instanceof Refused) return { is: "unclear", why: `${thrown.message}; ${thrown.mend}` };
    throw thrown;
  }
}

/** What injection says of the pod, and whether the pod has what it would put in. */
function checkInjected(pod: JsonValue, options: BypassOptions): readonly BypassFinding[] {
  const { namespace, settings, whenUnsaid, stage } = options;
  const injection = injectPod(pod, namespace, settings, { whenUnsaid });
  if (injection.kind === "refuse") return [finding("not-injectable", [], `${injection.why}; ${injection.mend}`)];
  if (stage === "template" && !hasSidecar(pod)) return [];
  if (injection.kind === "inject") return checkSidecar(pod, injection.pod);
  // The node's network has a finding of its own, and mirrors are the kubelet's.
  const isTold = checkHost(pod).some(({ code }) => code === "host-network");
  return isTold || isMirror(pod) ? [] : [finding("not-injected", ["spec"], `${injection.why} (${INJECT_LABEL})`)];
}

function isMirror(pod: JsonValue): boolean {
  return Object.hasOwn(readPodMetadata(pod).annotations, "kubernetes.io/config.mirror");
}
