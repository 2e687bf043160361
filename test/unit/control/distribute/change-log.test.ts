import { expect, test } from "vitest";
import { ChangeLog } from "../../../../src/control/distribute/change-log.ts";

test("what changed since a version is told, once each", () => {
  const log = new ChangeLog();
  log.add(["a"]);
  log.add(["b", "a"]);
  expect([...log.since(0)!]).toEqual(["a", "b"]);
  expect([...log.since(1)!]).toEqual(["b", "a"]);
  expect([...log.since(2)!]).toEqual([]);
});

test("what is too long ago, or never was, is not known", () => {
  const log = new ChangeLog();
  for (let count = 0; count < 9_000; count += 1) log.add([`name-${count}`]);
  expect(log.since(0)).toBeNull();
  expect(log.since(9_001)).toBeNull();
  expect(log.since(Number.NaN)).toBeNull();
  expect([...log.since(8_998)!]).toEqual(["name-8998", "name-8999"]);
});
