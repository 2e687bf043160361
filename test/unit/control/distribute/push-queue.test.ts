import { expect, test } from "vitest";
import { createPushQueue } from "../../../../src/control/distribute/push-queue.ts";

const MANY = Array.from({ length: 100 }, (_, index) => index);

test("whom a change concerns comes first, and nobody twice", async () => {
  const pushed: string[] = [];
  const queue = createPushQueue<string>((stream, lane) => pushed.push(`${stream} ${lane}`));
  queue.later(["a", "b", "c"]);
  queue.first(["c", "c"]);
  await turns(1);
  expect(pushed).toEqual(["c first", "a later", "b later"]);
  await turns(2);
  expect(pushed).toHaveLength(3);
});

test("others have their turn in between", async () => {
  const pushed: number[] = [];
  const queue = createPushQueue<number>((stream) => pushed.push(stream));
  queue.first(MANY);
  await turns(1);
  expect(pushed.length).toBeLessThan(50);
  await turns(5);
  expect(pushed).toEqual(MANY);
});

test("who comes while others are looked at is not forgotten", async () => {
  const pushed: string[] = [];
  const queue = createPushQueue<string>((stream) => {
    pushed.push(stream);
    if (stream === "a") queue.first(["b"]);
  });
  queue.later(["a"]);
  await turns(2);
  expect(pushed).toEqual(["a", "b"]);
});

test("who has gone is not looked at", async () => {
  const pushed: string[] = [];
  const queue = createPushQueue<string>((stream) => pushed.push(stream));
  queue.first(["a", "b"]);
  queue.later(["a"]);
  queue.remove("a");
  await turns(3);
  expect(pushed).toEqual(["b"]);
});

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
