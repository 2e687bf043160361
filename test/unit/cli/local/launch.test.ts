import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { launchCardea } from "../../../../src/cli/local/launch.ts";
import { statePathsOf } from "../../../../src/cli/state-dir.ts";

const paths = statePathsOf("/state");
const { program, args, env } = launchCardea(["proxy", "--config", "x.json"], "x.log", paths);

/** What a process on the flags and in the surroundings of a role says of itself. */
function ask(expression: string): string {
  const flags = args.slice(
    0,
    args.findIndex((word) => word.endsWith("main.ts")),
  );
  return spawnSync(program, [...flags, "-p", expression], { env, encoding: "utf8" }).stdout.trim();
}

test("a role is given its own words and this very program", () => {
  expect(args.slice(-4)).toEqual([expect.stringMatching(/src\/main\.ts$/), "proxy", "--config", "x.json"]);
  expect(program).toBe(process.execPath);
});

test("a role's young generation is small", () => {
  const space = `require("v8").getHeapStatistics().heap_size_limit`;
  const limit = Number(ask(space));
  const plain = Number(spawnSync(program, ["-p", space], { env, encoding: "utf8" }).stdout);
  // The limit counts the young generation in, as three semi-spaces: 16 or 32 MiB each by default, after the machine's size.
  expect(plain - limit).toBeGreaterThanOrEqual(3 * (16 - 8) * 1024 * 1024);
});

test("a role sees nothing of our surroundings that could turn it: no NODE_OPTIONS, no proxy", () => {
  expect(JSON.parse(ask("JSON.stringify(Object.keys(process.env))"))).toEqual([
    "NODE_COMPILE_CACHE",
    "NODE_NO_WARNINGS",
    "MALLOC_ARENA_MAX",
  ]);
});
