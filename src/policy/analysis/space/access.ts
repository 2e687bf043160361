import type { AuthorizationPolicy } from "../../document.ts";
import type { Workload } from "../../facts.ts";
import type { MeshSettings } from "../../mesh-settings.ts";
import { policiesFor } from "../../select.ts";
import type { Truth } from "./explore.ts";
import type { Protocol } from "./facts.ts";
import { type Formula, formulasOf } from "./formula.ts";

/** Who may do what to one workload, as formulas whose truths decide as decide.ts does: DENY first, then ALLOW. */
export interface Access {
  readonly formulas: readonly Formula[];
  /** Null while it depends on an open formula. */
  decide(truthOf: (formula: number) => Truth): Verdict | null;
}

export interface Verdict {
  readonly allow: boolean;
  /** The rule that decides, the first of those that match; null: no rule does. */
  readonly formula: Formula | null;
}

export function accessTo(
  documents: readonly AuthorizationPolicy[],
  workload: Workload,
  about: { readonly settings: MeshSettings; readonly protocol: Protocol },
): Access {
  const { settings, protocol } = about;
  const selected = policiesFor(documents, workload, settings).filter(({ isDryRun }) => !isDryRun);
  const formulas = (["DENY", "ALLOW"] as const).flatMap((action) =>
    selected.filter((policy) => policy.action === action).flatMap((policy) => formulasOf(policy, settings, protocol)),
  );
  const isAnyAllow = selected.some((policy) => policy.action === "ALLOW");
  const otherwise = { allow: !isAnyAllow && settings.defaultAction === "ALLOW", formula: null };
  return {
    formulas,
    decide(truthOf) {
      for (const [i, formula] of formulas.entries()) {
        const truth = truthOf(i);
        if (truth === "open") return null;
        if (truth === "true") return { allow: formula.policy.action === "ALLOW", formula };
      }
      return otherwise;
    },
  };
}
