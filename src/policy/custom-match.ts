import { compilePolicy } from "./compile.ts";
import { customRulesFor } from "./custom.ts";
import { decideRequest, decideTcp, type PeerFacts, type RequestFacts } from "./decide.ts";
import type { AuthorizationPolicy } from "./document.ts";
import type { Workload } from "./facts.ts";
import type { MeshSettings } from "./mesh-settings.ts";

/** A request that a server outside would be asked about. */
export interface CustomMatch {
  /** `namespace/name`. */
  readonly policy: string;
  readonly rule: number;
  /** The name of the extension provider. */
  readonly provider: string;
  /** False: it speaks HTTP, and this is a connection of bytes; so it is denied. */
  readonly canBeAsked: boolean;
}

/** Says of questions to one workload whether a server outside would be asked. Null: the policies alone decide. */
export function createCustomMatcher(
  documents: readonly AuthorizationPolicy[],
  workload: Workload,
  settings: MeshSettings,
): (peer: PeerFacts, request: RequestFacts | null) => CustomMatch | null {
  const rules = customRulesFor(documents, workload, settings);
  if (rules === null) return () => null;
  const { provider } = rules;
  const compiled = compilePolicy(rules.documents, workload, settings);
  return (peer, request) => {
    const decision = request === null ? decideTcp(compiled, peer) : decideRequest(compiled, peer, request);
    if (decision.reason !== "deny-rule-matched" || decision.policy === null) return null;
    const canBeAsked = request !== null || provider.protocol === "grpc";
    return { policy: decision.policy, rule: decision.rule ?? 0, provider: provider.name, canBeAsked };
  };
}
