import { defineConfig } from "vitest/config";

const timeouts = { testTimeout: 20_000, hookTimeout: 60_000 };

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
          testTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
