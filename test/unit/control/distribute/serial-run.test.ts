import { expect, test } from "vitest";
import { createSerialRun } from "../../../../src/control/distribute/serial-run.ts";

test("requests during a run make one more, and none overlap", async () => {
  const gates: (() => void)[] = [];
  let running = 0;
  let most = 0;
  const runs = createSerialRun(async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise<void>((resolve) => gates.push(resolve));
    running -= 1;
  });
  const first = runs.request();
  const rest = Promise.all([runs.request(), runs.request(), runs.request()]);
  expect(gates).toHaveLength(1);
  gates[0]!();
  await first;
  await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect(gates).toHaveLength(2);
  gates[1]!();
  await rest;
  expect([gates.length, most, running]).toEqual([2, 1, 0]);
});

test("a run that fails does not end the series", async () => {
  let count = 0;
  const runs = createSerialRun(async () => {
    count += 1;
    if (count === 1) throw new Error("first");
  });
  const first = runs.request();
  const second = runs.request();
  await expect(first).rejects.toThrow("first");
  await second;
  expect(count).toBe(2);
});
