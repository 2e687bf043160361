import { toCardeaError } from "../../core/errors.ts";
import type { Clock, Logger, Timer } from "../../core/ports.ts";
import type { PolicyTexts } from "../../io/policy-directory.ts";
import type { PolicySource } from "./policy-source.ts";

/** One reference of a remote repository, as the outside gives it. Errors: `unreachable`. */
export interface PolicyRepository {
  /** For messages, e.g. `https://git.example/mesh@main:policies`. */
  readonly name: string;
  /** → the commit that the reference points at now. */
  newest(): Promise<string>;
  /** The commit that was fetched last, perhaps by an earlier process. */
  last(): Promise<string>;
  /** Null: it may count. Else why not. */
  whyNot(commit: string): Promise<string | null>;
  /** What the commit holds where policies are, in one word. */
  tree(commit: string): Promise<string>;
  read(commit: string): Promise<PolicyTexts>;
}

export interface GitSourceOptions {
  readonly repository: PolicyRepository;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Digits of a commit that stand in a revision. */
const COMMIT_DIGITS = 12;

/**
 * Policies of a git repository, looked at every so often. The revision in force is the commit's first digits; a commit that
 * changes nothing where policies are is none. While the repository cannot be reached the last commit counts on; a commit that
 * may not count is a fault, so that what is in force stays.
 */
export function openGitPolicySource({ repository, pollMs, clock, logger }: GitSourceOptions): PolicySource {
  /** What was read last; null: nothing, or something was wrong with it. */
  let good: { readonly commit: string; readonly tree: string; readonly texts: PolicyTexts } | null = null;
  /** The commit that was refused last. */
  let refused: string | null = null;
  let failures = 0;

  async function newest(): Promise<string> {
    try {
      const commit = await repository.newest();
      if (failures > 0) logger.log("info", "policy-source-back", { reason: repository.name, failures });
      failures = 0;
      return commit;
    } catch (thrown) {
      failures += 1;
      const error = toCardeaError(thrown).message;
      logger.log(failures === 1 ? "error" : "warn", "policy-source-unreachable", {
        reason: repository.name,
        error,
        failures,
      });
      // What was fetched before counts on; where there is nothing, the failure is what there is to say.
      return good?.commit ?? (await repository.last().catch(() => Promise.reject(toCardeaError(thrown))));
    }
  }

  async function read(): Promise<PolicyTexts> {
    try {
      const commit = await newest();
      if (commit === good?.commit) return good.texts;
      const why = await repository.whyNot(commit);
      if (why !== null) return refuse(commit, `commit ${commit} may not count: ${why}`);
      const tree = await repository.tree(commit);
      if (tree === good?.tree) {
        good = { ...good, commit };
        return good.texts;
      }
      const texts = { ...(await repository.read(commit)), revision: commit.slice(0, COMMIT_DIGITS) };
      if (texts.faults.length > 0) return texts;
      good = { commit, tree, texts };
      refused = null;
      return texts;
    } catch (thrown) {
      return fault(toCardeaError(thrown).message);
    }
  }

  function refuse(commit: string, message: string): PolicyTexts {
    if (refused !== commit)
      logger.log("error", "commit-refused", { revision: commit.slice(0, COMMIT_DIGITS), error: message });
    refused = commit;
    return fault(message);
  }

  function fault(message: string): PolicyTexts {
    return { files: [], faults: [{ file: repository.name, line: null, column: null, field: "", message }] };
  }

  return {
    path: repository.name,
    read,
    watch(onChange) {
      let timer: Timer | null = null;
      const look = (): void => {
        // What has not changed costs one question to the remote: the reader compares commits.
        onChange();
        timer = clock.setTimer(pollMs, look);
      };
      timer = clock.setTimer(pollMs, look);
      return { close: () => timer?.cancel() };
    },
  };
}
