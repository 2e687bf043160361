import { join } from "node:path";
import type { GitPolicies } from "../config/git-policies.ts";
import { openGitPolicySource, type PolicyRepository } from "../control/distribute/git-policy-source.ts";
import type { PolicySource } from "../control/distribute/policy-source.ts";
import type { Logger } from "../core/ports.ts";
import { systemClock } from "../io/clock.ts";
import { fetchCommit, lastFetched, readCommitTexts, treeAt, whyNotSigned } from "../io/git-repository.ts";

/** Policies of a git repository, which is kept in the state directory. */
export function gitSourceOf(settings: GitPolicies, stateDir: string, logger: Logger): PolicySource {
  const repository = repositoryOf(settings, join(stateDir, "policies.git"));
  return openGitPolicySource({ repository, pollMs: settings.pollSec * 1_000, clock: systemClock, logger });
}

export function repositoryOf(settings: GitPolicies, directory: string): PolicyRepository {
  const { url, ref, path, allowFile, allowedSigners } = settings;
  return {
    name: `${url}@${ref}:${path}`,
    newest: () => fetchCommit({ url, ref, allowFile, directory }),
    last: () => lastFetched(directory),
    whyNot: async (commit) => (allowedSigners === null ? null : await whyNotSigned(directory, commit, allowedSigners)),
    tree: (commit) => treeAt(directory, commit, path),
    read: (commit) => readCommitTexts(directory, commit, path),
  };
}
