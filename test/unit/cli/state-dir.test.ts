import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { chooseStateDirectory, findStateDirectory } from "../../../src/cli/state-dir.ts";

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "cardea-home-"));
});
afterEach(() => {
  chmodSync(home, 0o700);
  rmSync(home, { recursive: true, force: true });
});

function around(env: Record<string, string>): { env: Record<string, string>; cwd: string } {
  return { env, cwd: "/somewhere" };
}

test.each<[string, string | undefined, Record<string, string>, string, boolean]>([
  ["the flag", "here", { CARDEA_STATE: "/elsewhere", HOME: "/h" }, "/somewhere/here", true],
  ["CARDEA_STATE", undefined, { CARDEA_STATE: "there", HOME: "/h" }, "/somewhere/there", true],
  ["XDG_STATE_HOME", undefined, { XDG_STATE_HOME: "/xdg", HOME: "/h" }, "/xdg/cardea/local", false],
])("%s says where the state is", async (_, flag, env, directory, isExplicit) => {
  expect(await chooseStateDirectory(flag, "local", around(env))).toEqual({ directory, isExplicit });
});

test("without any it is in the home directory, where XDG has it; a relative XDG_STATE_HOME is ignored", async () => {
  for (const env of [{ HOME: home }, { HOME: home, XDG_STATE_HOME: "relative" }, { HOME: home, XDG_STATE_HOME: "" }]) {
    const { directory } = await chooseStateDirectory(undefined, "local", around(env));
    expect(directory).toBe(join(home, ".local", "state", "cardea", "local"));
  }
});

test.each([{}, { HOME: "" }, { HOME: "/no/such/home" }])(
  "with a home that is of no use (%j), in a directory of the user's own",
  async (env) => {
    const { directory } = await chooseStateDirectory(undefined, "local", around(env));
    expect(directory).toBe(join(tmpdir(), `cardea-${process.getuid!()}`, "local"));
  },
);

test("a command without a mesh file finds the mesh that was started last", async () => {
  for (const [name, atSec] of [
    ["local", 100],
    ["local-2", 300],
    ["shop", 200],
  ] as const) {
    const directory = join(home, "cardea", name);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "run.json"), "{}");
    utimesSync(join(directory, "run.json"), atSec, atSec);
  }
  const found = await findStateDirectory(undefined, around({ XDG_STATE_HOME: home }));
  expect(found.directory).toBe(join(home, "cardea", "local-2"));
});

test.each([
  ["nothing at all", () => {}],
  ["a directory that no mesh ever ran in", () => mkdirSync(join(home, "cardea", "local"), { recursive: true })],
])("with %s there is no mesh", async (_, prepare) => {
  prepare();
  await expect(findStateDirectory(undefined, around({ XDG_STATE_HOME: home }))).rejects.toMatchObject({
    code: "unreachable",
  });
});

test("a directory that was asked for and holds no mesh is not looked past", async () => {
  await expect(findStateDirectory(home, around({}))).rejects.toMatchObject({
    code: "unreachable",
    message: `no mesh has its state in ${home}; start one: cardea up --state ${home}`,
  });
});
