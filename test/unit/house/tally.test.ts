import { expect, test } from "vitest";
import { concludeTally, reasonInName } from "../../support/tally.ts";

const failures = [
  { name: "b.test.ts > three", error: "expected 1 to be 2" },
  { name: "b.test.ts", error: null },
];
const skipped = [
  { name: "a.test.ts > one", reason: "no nginx on this machine" },
  { name: "a.test.ts > two", reason: null },
];

test.each([
  ["all is well", { passed: 3, failed: 0, failures: [], skipped: [] }, 0, ["3 passed, 0 failed"], 0],
  [
    "tests failed",
    { passed: 3, failed: 2, failures, skipped: [] },
    1,
    ["failed: b.test.ts > three: expected 1 to be 2", "failed: b.test.ts: no error given", "3 passed, 2 failed"],
    1,
  ],
  [
    "vitest failed though every test passed",
    { passed: 3, failed: 0, failures: [], skipped: [] },
    1,
    ["3 passed, 1 failed"],
    1,
  ],
  ["nothing ran", { passed: 0, failed: 0, failures: [], skipped: [] }, 0, ["0 passed, 1 failed"], 1],
  ["vitest wrote no tally", null, 0, ["0 passed, 1 failed"], 1],
  [
    "tests were skipped",
    { passed: 3, failed: 0, failures: [], skipped },
    0,
    [
      "skipped: a.test.ts > one: no nginx on this machine",
      "skipped: a.test.ts > two: no reason given",
      "3 passed, 0 failed, 2 skipped",
    ],
    0,
  ],
] as const)("the last line of npm test when %s", (_, tally, vitestExitCode, lines, exitCode) => {
  expect(concludeTally(tally, vitestExitCode)).toEqual({ lines, exitCode });
});

test("a name can give the reason for skipping, in brackets", () => {
  expect(reasonInName("openssl (skipped where it is not installed) > verifies")).toBe(
    "skipped where it is not installed",
  );
  expect(reasonInName("Istio's policies (needs the shared corpus)")).toBe("needs the shared corpus");
  expect(reasonInName("a body (chunked) is read")).toBeNull();
});
