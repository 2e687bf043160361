import { defineConfig } from "vitest/config";

// Against what hangs, not a bar on speed: a machine with other work takes ten times as long.
const timeouts = { testTimeout: 60_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    pool: "forks",
    projects: [
      {
        test: {
          ...timeouts,
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/sim/**/*.test.ts", "test/fuzz/**/*.test.ts"],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Real processes and real ports: one file at a time, and after the others, so that time limits mean something.
        test: {
          ...timeouts,
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
