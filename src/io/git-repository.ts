import { extname } from "node:path";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { POLICY_EXTENSIONS, type PolicyTexts } from "./policy-directory.ts";
import { runProgram } from "./run-program.ts";
import { makeDirectory } from "./files.ts";

/** Where from, and into which directory of ours. */
export interface GitRemote {
  readonly url: string;
  readonly ref: string;
  readonly allowFile: boolean;
  /** A bare repository, made when it is not there; nobody else writes to it. */
  readonly directory: string;
}

const FETCH_TIMEOUT_MS = 60_000;
const LOCAL_TIMEOUT_MS = 30_000;
const HEAD = "refs/cardea/head";
/** Files that are read at a time. */
const READERS = 8;

/**
 * Fetches what the reference points at, without history, hooks, tags or submodules → the commit. Only https, ssh and, where
 * it was said, files: whatever git's own configuration allows. Errors: `unreachable`.
 */
export async function fetchCommit({ url, ref, allowFile, directory }: GitRemote): Promise<string> {
  await makeDirectory(directory);
  await git(["init", "--quiet", "--bare", directory], { directory: null });
  const from = /^[0-9a-f]{40}$/.test(ref) || ref.startsWith("refs/") ? ref : `refs/heads/${ref}`;
  const options = ["--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--force", "--quiet"];
  const protocols = allowFile ? "https:ssh:file" : "https:ssh";
  await git(["fetch", ...options, "--", url, `+${from}:${HEAD}`], {
    directory,
    protocols,
    timeoutMs: FETCH_TIMEOUT_MS,
  });
  return await lastFetched(directory);
}

/** The commit that was fetched last. Errors: `unreachable` where there is none. */
export async function lastFetched(directory: string): Promise<string> {
  return (await git(["rev-parse", "--verify", "--quiet", `${HEAD}^{commit}`], { directory })).trim();
}

/**
 * Whether one of the allowed signers has signed the commit, with an SSH key; other kinds of signatures are none. Null: yes.
 * Else what git says.
 */
export async function whyNotSigned(directory: string, commit: string, allowedSigners: string): Promise<string | null> {
  const settings = [
    `gpg.ssh.allowedSignersFile=${allowedSigners}`,
    // A key that nobody has listed makes a good signature as well, by nobody.
    "gpg.minTrustLevel=fully",
    // Whose keys lie in the user's keyring has nothing to do with who may sign.
    "gpg.program=false",
    "gpg.x509.program=false",
  ];
  const configured = settings.flatMap((setting) => ["-c", setting]);
  try {
    await git([...configured, "verify-commit", commit], { directory });
    return null;
  } catch (thrown) {
    if (!(thrown instanceof CardeaError)) throw thrown;
    return thrown.message;
  }
}

/** What the commit holds at the path, as one word: equal words, equal files. Errors: `unreachable`. */
export async function treeAt(directory: string, commit: string, path: string): Promise<string> {
  const of = path === "." ? `${commit}^{tree}` : `${commit}:${path}`;
  const tree = await git(["rev-parse", "--verify", "--quiet", of], { directory }).catch(() => "");
  if (tree !== "") return tree.trim();
  throw new CardeaError("unreachable", `commit ${commit} has no directory ${path}`);
}

/** The policy files of a commit below the path; links, submodules and hidden files are left out. Errors: `unreachable`. */
export async function readCommitTexts(directory: string, commit: string, path: string): Promise<PolicyTexts> {
  // ls-tree takes plain paths, not patterns.
  const below = path === "." ? [] : ["--", path];
  const listed = await git(["ls-tree", "-r", "-z", "--full-tree", commit, ...below], { directory });
  const files = listed.split("\0").flatMap((line) => {
    const [head = "", name = ""] = line.split("\t");
    const [mode = "", , object = ""] = head.split(" ");
    const isFile = mode === "100644" || mode === "100755";
    return isFile && POLICY_EXTENSIONS.has(extname(name)) && !isHidden(name) ? [{ name, object }] : [];
  });
  const problem =
    files.length === 0
      ? "holds no .yaml, .yml or .json file"
      : files.length > LIMITS.policiesMax
        ? `holds more than ${LIMITS.policiesMax} files`
        : null;
  if (problem !== null)
    return { files: [], faults: [{ file: path, line: null, column: null, field: "", message: problem }] };
  const texts: { path: string; text: string }[] = [];
  const waiting = files.values();
  const read = async (): Promise<void> => {
    for (const { name, object } of waiting)
      texts.push({ path: name, text: await git(["cat-file", "blob", object], { directory }) });
  };
  await Promise.all(Array.from({ length: READERS }, read));
  return { files: texts.toSorted((a, b) => (a.path < b.path ? -1 : 1)), faults: [] };
}

function isHidden(name: string): boolean {
  return name.split("/").some((part) => part.startsWith("."));
}

interface GitRun {
  /** Null: none is needed. */
  readonly directory: string | null;
  readonly protocols?: string;
  readonly timeoutMs?: number;
}

async function git(args: readonly string[], run: GitRun): Promise<string> {
  const { directory, protocols = "none", timeoutMs = LOCAL_TIMEOUT_MS } = run;
  const { PATH = "", HOME = "", SSH_AUTH_SOCK, SSL_CERT_FILE, HTTPS_PROXY, https_proxy } = process.env;
  const passed = Object.entries({ SSH_AUTH_SOCK, SSL_CERT_FILE, HTTPS_PROXY, https_proxy });
  const env = {
    PATH,
    // For ~/.ssh and ~/.netrc; the user's and the system's configuration of git are not read.
    HOME,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_ALLOW_PROTOCOL: protocols,
    GIT_PROTOCOL_FROM_USER: "0",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ASKPASS: "true",
    GIT_SSH_COMMAND: "ssh -o BatchMode=yes -o ConnectTimeout=10",
    GIT_NO_REPLACE_OBJECTS: "1",
    LC_ALL: "C",
    ...Object.fromEntries(passed.filter((entry): entry is [string, string] => entry[1] !== undefined)),
  };
  const safe = ["core.hooksPath=/dev/null", "fetch.fsckObjects=true", "submodule.recurse=false", "gc.auto=0"];
  const where = directory === null ? [] : [`--git-dir=${directory}`];
  const words = [...where, ...safe.flatMap((setting) => ["-c", setting]), ...args];
  const end = await runProgram({ program: "git", args: words, input: null, env, timeoutMs });
  if (end === null) throw new CardeaError("unreachable", "git is not on the PATH");
  if (end.code === 0) return end.stdout;
  const said = end.stderr
    .trim()
    .split("\n")
    // Where git says nothing, what ran is told in full: a line that helps nobody.
    .filter((line) => line !== "" && !/^(hint:|Command failed:)/.test(line))
    .slice(0, 3)
    .join("; ");
  throw new CardeaError("unreachable", said === "" ? `git ${args[0]} found nothing` : said);
}
