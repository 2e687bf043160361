import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { repositoryOf } from "../../../../src/cli/git-source.ts";
import { GIT_POLICIES, type GitPolicies } from "../../../../src/config/git-policies.ts";
import { openGitPolicySource } from "../../../../src/control/distribute/git-policy-source.ts";
import { openPolicyStore } from "../../../../src/control/distribute/policy-store.ts";
import { type Fault, formatFault, locatePlain } from "../../../../src/core/located.ts";
import { fetchCommit } from "../../../../src/io/git-repository.ts";
import { DEFAULT_MESH_SETTINGS } from "../../../../src/policy/mesh-settings.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";

const GOOD = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec: {rules: [{from: [{source: {namespaces: [shop]}}]}]}
`;
const api = loadMeshApi();

let folder = "";
let remote = "";
/** Of the repository as we keep it. */
let kept = "";
let count = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cardea-git-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(() => {
  count += 1;
  remote = join(folder, `remote-${count}`);
  kept = join(folder, `kept-${count}`);
  mkdirSync(remote);
  git("init", "-q", "-b", "main");
  write("policies/orders.yaml", GOOD);
  commit("first");
});

function git(...words: readonly string[]): string {
  const env = { PATH: process.env["PATH"], HOME: folder, GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null" };
  const who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always"];
  return execFileSync("git", [...who, ...words], { cwd: remote, env, stdio: ["ignore", "pipe", "pipe"] }).toString();
}

function write(name: string, text: string): void {
  mkdirSync(dirname(join(remote, name)), { recursive: true });
  writeFileSync(join(remote, name), text);
}

/** → the commit's first digits. */
function commit(message: string, ...signing: readonly string[]): string {
  git("add", "-A");
  git(...signing, "commit", "-q", "--allow-empty", ...(signing.length === 0 ? [] : ["-S"]), "-m", message);
  return git("rev-parse", "HEAD").slice(0, 12);
}

function open(changes: Partial<GitPolicies> = {}) {
  const [clock, logger] = [createSimulatedClock(0), createKeptLog()];
  const settings = {
    url: remote,
    ref: "main",
    path: "policies",
    pollSec: 30,
    allowedSigners: null,
    allowFile: true,
    ...changes,
  };
  const source = openGitPolicySource({ repository: repositoryOf(settings, kept), pollMs: 30_000, clock, logger });
  return { source, clock, logger };
}

async function read(source: ReturnType<typeof open>["source"]) {
  const { files, faults, revision } = await source.read();
  return { files: files.map(({ path }) => path), faults: faults.map(formatFault), revision };
}

describe("policies of a git repository", () => {
  test("are those of the branch, named by the commit and by their path in the repository", async () => {
    write("policies/more/ledger.yaml", GOOD.replace("orders", "ledger"));
    write("policies/.hidden.yaml", "not: a policy");
    write("policies/notes.md", "not a policy");
    write("elsewhere/orders.yaml", "not: a policy");
    symlinkSync("/etc/passwd", join(remote, "policies/link.yaml"));
    const second = commit("more");
    git("checkout", "-q", "-b", "other");
    write("policies/other.yaml", GOOD);
    commit("on another branch");
    expect(await read(open().source)).toEqual({
      files: ["policies/more/ledger.yaml", "policies/orders.yaml"],
      faults: [],
      revision: second,
    });
  });

  test("change with the branch, and not with commits that touch other files", async () => {
    const { source } = open();
    const first = (await read(source)).revision;
    write("README.md", "more words");
    commit("elsewhere");
    expect((await read(source)).revision).toBe(first);
    write("policies/orders.yaml", GOOD.replace("[shop]", "[ops]"));
    const third = commit("here");
    expect((await read(source)).revision).toBe(third);
    git("reset", "-q", "--hard", "HEAD~2");
    expect((await read(source)).revision).toBe(first);
  });

  test("of a tag or a commit stay where they are", async () => {
    git("tag", "v1");
    const whole = git("rev-parse", "HEAD").trim();
    write("policies/orders.yaml", `${GOOD}# changed\n`);
    commit("second");
    expect((await read(open({ ref: "refs/tags/v1" }).source)).revision).toBe(whole.slice(0, 12));
    git("config", "uploadpack.allowAnySHA1InWant", "true");
    expect((await read(open({ ref: whole }).source)).revision).toBe(whole.slice(0, 12));
  });

  test("that cannot be reached stay what they were, over a restart as well, and it is said once and when it is over", async () => {
    const { source, logger } = open();
    const { revision } = await read(source);
    renameSync(remote, `${remote}-away`);
    expect((await read(source)).revision).toBe(revision);
    expect((await read(source)).revision).toBe(revision);
    expect((await read(open().source)).revision).toBe(revision);
    renameSync(`${remote}-away`, remote);
    await read(source);
    expect(logger.lines.map(({ level, event }) => `${level} ${event}`)).toEqual([
      "error policy-source-unreachable",
      "warn policy-source-unreachable",
      "info policy-source-back",
    ]);
  });

  test.each<[string, Partial<GitPolicies>, string]>([
    ["a branch that is not there", { ref: "none" }, "none"],
    ["a repository that is not there", { url: "/nowhere/at/all" }, "does not appear to be a git repository"],
    ["a directory that is not there", { path: "nothing" }, "has no directory nothing"],
    ["a file of this machine, where that is not meant", { allowFile: false }, "transport 'file' not allowed"],
    ["a command for a URL", { url: "ext::sh -c touch% /tmp/never" }, "transport 'ext' not allowed"],
  ])("are a fault with %s", async (_name, changes, message) => {
    const { files, faults } = await read(open(changes).source);
    expect(files).toEqual([]);
    expect(faults.join()).toContain(message);
  });

  test("run no hook of the repository that they are kept in", async () => {
    await fetchCommit({ url: remote, ref: "main", allowFile: true, directory: kept });
    const mark = join(folder, `hooked-${count}`);
    writeFileSync(join(kept, "hooks", "reference-transaction"), `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
    write("policies/orders.yaml", `${GOOD}# changed\n`);
    commit("second");
    await fetchCommit({ url: remote, ref: "main", allowFile: true, directory: kept });
    expect(existsSync(mark)).toBe(false);
  });
});

const archive = { save: () => Promise.resolve(), newest: () => Promise.resolve(null) };

async function openStore() {
  const opened = open();
  const settings = DEFAULT_MESH_SETTINGS;
  const store = await openPolicyStore({
    source: opened.source,
    archive,
    settings,
    api,
    logger: opened.logger,
  });
  /** Polls, and waits for what comes of it: git is a process of its own. */
  const poll = async (isDone: () => boolean): Promise<void> => {
    await opened.clock.advance(30_000);
    await expect.poll(isDone, { timeout: 15_000 }).toBe(true);
  };
  return { ...opened, store, poll };
}

describe("a mesh whose policies come from git", () => {
  test("follows the branch, keeps the last good commit while there is a bad one, and goes on by itself", async () => {
    const { store, logger, poll } = await openStore();
    const first = store.content.get()!.revision;
    expect(first).toBe(git("rev-parse", "HEAD").slice(0, 12));

    write("policies/orders.yaml", GOOD.replace("namespaces", "namespace"));
    commit("a typing error");
    await poll(() => store.faults.get().length > 0);
    expect(store.content.get()!.revision).toBe(first);
    expect(store.faults.get().map(formatFault).join()).toContain("policies/orders.yaml:4");
    expect(logger.events()).toContain("policies-refused");

    write("policies/orders.yaml", GOOD.replace("[shop]", "[ops]"));
    const third = commit("mended");
    await poll(() => store.content.get()!.revision === third);
    expect(store.faults.get()).toEqual([]);
    store.close();
  });
});

/** A key of that name, and what lets git sign with it. */
function keyOf(name: string): readonly string[] {
  const file = join(folder, `${name}-${count}`);
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file]);
  return ["-c", "gpg.format=ssh", "-c", `user.signingkey=${file}.pub`];
}

function signers(...names: readonly string[]): string {
  const file = join(folder, `signers-${count}`);
  const lines = names.map(
    (name) => `${name}@example.com ${execFileSync("cat", [join(folder, `${name}-${count}.pub`)]).toString()}`,
  );
  writeFileSync(file, lines.join(""));
  return file;
}

describe("commits that have to be signed", () => {
  test("count when one of the allowed signers has signed them", async () => {
    const ada = keyOf("ada");
    write("policies/orders.yaml", `${GOOD}# signed\n`);
    const signed = commit("signed", ...ada);
    expect(await read(open({ allowedSigners: signers("ada") }).source)).toMatchObject({ faults: [], revision: signed });
  });

  test("do not when nobody has, or somebody else, and what counted before stays", async () => {
    const [ada, eve] = [keyOf("ada"), keyOf("eve")];
    const allowedSigners = signers("ada");
    const { source, logger } = open({ allowedSigners });
    expect((await read(source)).faults.join()).toContain("may not count");
    write("policies/orders.yaml", `${GOOD}# by eve\n`);
    commit("signed by another", ...eve);
    const { files, faults } = await read(source);
    expect(files).toEqual([]);
    expect(faults.join()).toContain("may not count");
    write("policies/orders.yaml", `${GOOD}# by ada\n`);
    const good = commit("signed", ...ada);
    expect((await read(source)).revision).toBe(good);
    write("policies/orders.yaml", `${GOOD}# by nobody\n`);
    commit("not signed");
    expect((await read(source)).faults.join()).toContain("may not count");
    await read(source);
    // Each that is refused is told of once.
    expect(logger.events().filter((event) => event === "commit-refused")).toHaveLength(3);
  });
});

const parse = (fields: object): { readonly read: GitPolicies | undefined; readonly faults: string } => {
  const faults: Fault[] = [];
  const value = GIT_POLICIES(locatePlain(fields), { file: "mesh.yaml", field: "spec.policiesGit", faults });
  return { read: value, faults: faults.map(formatFault).join("\n") };
};

describe("where policies come from is checked", () => {
  test.each([
    ["https://git.example/team/mesh.git"],
    ["ssh://git@git.example:2222/mesh"],
    ["git@github.com:team/mesh.git"],
  ])("%s is taken, with main, policies and half a minute", (url) => {
    expect(parse({ url }).read).toEqual({
      url,
      ref: "main",
      path: "policies",
      pollSec: 30,
      allowedSigners: null,
      allowFile: false,
    });
  });

  test.each<[object, string]>([
    [{}, "url: is required"],
    [{ url: "ext::sh -c id" }, "expected https://"],
    [{ url: "http://git.example/mesh" }, "expected https://"],
    [{ url: "git://git.example/mesh" }, "expected https://"],
    [{ url: "--upload-pack=x" }, "expected https://"],
    [{ url: "git@host:-oProxyCommand=x" }, "expected https://"],
    [{ url: "https://ada:secret@git.example/mesh" }, "must not hold a password"],
    [{ url: "file:///opt/mesh.git" }, "allowFile: true says that it is meant"],
    [{ url: "/opt/mesh.git" }, "allowFile: true says that it is meant"],
    [{ url: "https://g/x", ref: "--output=x" }, "expected a branch"],
    [{ url: "https://g/x", ref: "a..b" }, "expected a branch"],
    [{ url: "https://g/x", ref: "main:other" }, "expected a branch"],
    [{ url: "https://g/x", path: "../x" }, "expected a directory in the repository"],
    [{ url: "https://g/x", path: "/etc" }, "expected a directory in the repository"],
    [{ url: "https://g/x", path: ":(exclude)a" }, "expected a directory in the repository"],
    [{ url: "https://g/x", pollSec: 0 }, "pollSec"],
    [{ url: "https://g/x", allowedSigners: "signers" }, "expected an absolute path"],
    [{ url: "https://g/x", branch: "main" }, "unknown field"],
  ])("%j is refused", (fields, message) => {
    const { read: value, faults } = parse(fields);
    expect(value).toBeUndefined();
    expect(faults).toContain(message);
  });

  test("a password that was refused is not repeated", () => {
    expect(parse({ url: "https://ada:secret@git.example/mesh" }).faults).not.toContain("secret");
  });
});
