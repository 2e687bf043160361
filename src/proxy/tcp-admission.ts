import { CardeaError } from "../core/errors.ts";
import type { Latest } from "../core/latest.ts";
import type { StepAnswer } from "./admission-steps.ts";
import type { AdmissionWaits } from "./admission-wait.ts";
import type { Authorization, PeerAuthorizer, Permit } from "./authorize.ts";
import type { PolicySet } from "./discovery/policy-sinks.ts";
import type { ServiceCalls } from "./service-call.ts";
import type { TcpFlow } from "./tcp-flow.ts";

interface TcpAdmissionOptions {
  readonly authorizer: PeerAuthorizer;
  readonly policy: Latest<PolicySet | null>;
  readonly waits: AdmissionWaits;
  readonly services: ServiceCalls;
}

/** What is decided of an opaque connection. */
export type TcpAdmission =
  | { readonly at: "decided"; readonly authorization: Authorization; readonly before: StepAnswer }
  | { readonly at: "failed"; readonly error: CardeaError };

/** Authorizes an opaque connection, at once or when somebody else has been asked; `carry` is called if it is permitted. */
export function authorizeFlow(flow: TcpFlow, options: TcpAdmissionOptions, carry: (permit: Permit) => void): void {
  const { authorizer, policy } = options;
  const decide = (before: StepAnswer): TcpAdmission => ({
    at: "decided",
    authorization: authorizer.authorizeConnection(before === null ? null : before.decision),
    before,
  });
  const settle = (admission: TcpAdmission): void => {
    if (admission.at === "failed") flow.refuse(admission.error, null);
    else if (admission.authorization.allow) carry(admission.authorization.permit);
    else refuse(flow, admission.authorization, admission.before);
  };
  const begin = () => {
    const set = policy.get();
    if (set === null || set.steps === null) return decide(null);
    return set.steps.admitConnection({
      ...options,
      peer: authorizer.peer,
      isInForce: () => policy.get() === set,
      decide,
      begin,
    });
  };
  const admission = begin();
  if (admission.at !== "waits") settle(admission);
  else {
    flow.hold(() => admission.wait.cancel());
    admission.wait.begin({ onSettled: settle, onBodyWanted: () => {} });
  }
}

function refuse(flow: TcpFlow, { denial }: Extract<Authorization, { allow: false }>, before: StepAnswer): void {
  const code = denial.decision.reason === "policy-not-loaded" ? "policy-not-loaded" : "denied-by-policy";
  flow.refuse(before === null ? new CardeaError(code, "") : before.error, denial);
}
