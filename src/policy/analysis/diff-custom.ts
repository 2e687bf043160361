import { customRulesFor } from "../custom.ts";
import { type DiffGround, diffPolicies, type Flip } from "./diff.ts";

/** Requests of one kind about which a server outside is asked by one set of policies and not by the other. */
export interface AskedFlip extends Pick<Flip, "destination" | "examples"> {
  readonly change: "newly-asked" | "asked-no-more";
  /** The name of the extension provider. */
  readonly provider: string;
  /** Of the CUSTOM policy, and its rule, that matches. */
  readonly policy: string | null;
  readonly rule: number | null;
}

export interface AskedDiff {
  readonly flips: readonly AskedFlip[];
  /** Workloads of which another server is asked, in words. */
  readonly moved: readonly string[];
}

/**
 * What CUSTOM policies change, where their servers are known: whether one is asked. What it answers is its affair. Policies
 * whose server is not known deny, and are compared with the others.
 */
export function diffAsked(ground: DiffGround): AskedDiff {
  const { settings } = ground;
  const flips: AskedFlip[] = [];
  const moved: string[] = [];
  for (const workload of ground.workloads) {
    const before = customRulesFor(ground.before, workload, settings);
    const after = customRulesFor(ground.after, workload, settings);
    if (before === null && after === null) continue;
    const [was, is] = [before?.provider.name ?? null, after?.provider.name ?? null];
    if (was !== null && is !== null && was !== is) moved.push(`of ${workload.name} ${is} is asked instead of ${was}`);
    const { flips: found } = diffPolicies({
      before: before?.documents ?? [],
      after: after?.documents ?? [],
      settings: { ...settings, defaultAction: "ALLOW" },
      workloads: [workload],
      callers: ground.workloads,
    });
    for (const { destination, examples, change, before: old, after: now } of found) {
      const isNew = change === "newly-denied";
      const { policy, rule } = isNew ? now : old;
      const provider = (isNew ? is : was) ?? "";
      flips.push({ destination, examples, change: isNew ? "newly-asked" : "asked-no-more", provider, policy, rule });
    }
  }
  return { flips, moved };
}
