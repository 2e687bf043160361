import { extname } from "node:path";
import { CardeaError } from "../core/errors.ts";
import { POLICY_EXTENSIONS, type PolicyTexts } from "./policy-directory.ts";
import { runProgram } from "./run-program.ts";

const GIT_TIMEOUT_MS = 30_000;

/**
 * Policy files as a revision of the git repository around the working directory has them; `path` is relative to that
 * directory, and the files are named `REVISION:path`. Errors: `bad-input` where git, the revision or the path is missing.
 */
export async function readGitTexts(revision: string, path: string): Promise<PolicyTexts> {
  // A revision that began with a dash would be an option to git.
  if (revision === "" || revision.startsWith("-"))
    throw new CardeaError("bad-input", `expected a git revision, found ${JSON.stringify(revision)}`);
  const commit = (await git(["rev-parse", "--verify", "--quiet", `${revision}^{commit}`], revision)).trim();
  const listed = await git(["ls-tree", "-r", "-z", "--name-only", commit, "--", path], revision);
  const names = listed.split("\0").filter((name) => name !== "" && !isHidden(name));
  const policies = names.filter((name) => POLICY_EXTENSIONS.has(extname(name)));
  if (policies.length === 0)
    throw new CardeaError("bad-input", `${revision}:${path} holds no .yaml, .yml or .json file`);
  const files: { path: string; text: string }[] = [];
  for (const name of policies.toSorted())
    files.push({ path: `${revision}:${name}`, text: await git(["show", `${commit}:./${name}`], revision) });
  return { files, faults: [] };
}

function isHidden(path: string): boolean {
  return path.split("/").some((part) => part.startsWith(".") && part !== "." && part !== "..");
}

async function git(args: readonly string[], revision: string): Promise<string> {
  const { PATH = "", HOME = "" } = process.env;
  // No pager, no prompt, and messages that do not depend on who asks.
  const env = { PATH, HOME, GIT_PAGER: "cat", GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" };
  const end = await runProgram({ program: "git", args, input: null, env, timeoutMs: GIT_TIMEOUT_MS });
  if (end === null) throw new CardeaError("bad-input", `git is needed to read ${revision}, and is not on the PATH`);
  if (end.code === 0) return end.stdout;
  const said = end.stderr.trim().split("\n")[0]!;
  throw new CardeaError(
    "bad-input",
    `git revision ${revision} cannot be read${said === "" ? ": there is none" : `: ${said}`}`,
  );
}
