import { describe, expect, test } from "vitest";
import { createByteBudget } from "../../../src/io/byte-budget.ts";
import { createSimClock } from "../../support/sim-clock.ts";

function setUp(bytes: number) {
  const clock = createSimClock(0);
  return { clock, budget: createByteBudget({ bytes, waitMsMax: 1_000, clock }) };
}

const never = new AbortController().signal;

describe("a byte budget", () => {
  test("is given out, and given back", async () => {
    const { budget } = setUp(10);
    const release = await budget.take(7, never);
    expect(budget.left).toBe(3);
    release?.();
    expect(budget.left).toBe(10);
  });

  test("giving back twice counts once", async () => {
    const { budget } = setUp(10);
    const release = await budget.take(7, never);
    release?.();
    release?.();
    expect(budget.left).toBe(10);
  });

  test("who finds too little waits in line, and a small one does not pass a large one", async () => {
    const { budget } = setUp(10);
    const first = await budget.take(6, never);
    const order: string[] = [];
    const large = budget.take(8, never).then((release) => (order.push("large"), release));
    const small = budget.take(1, never).then((release) => (order.push("small"), release));
    expect(budget.waiting).toBe(2);
    first?.();
    expect(await Promise.all([large, small])).toEqual([expect.any(Function), expect.any(Function)]);
    expect(order).toEqual(["large", "small"]);
    expect(budget.left).toBe(1);
  });

  test("more than all of it is all of it", async () => {
    const { budget } = setUp(10);
    expect(await budget.take(1_000, never)).not.toBeNull();
    expect(budget.left).toBe(0);
  });
});

describe("nothing is given", () => {
  test("after the time", async () => {
    const { budget, clock } = setUp(10);
    await budget.take(10, never);
    const late = budget.take(1, never);
    clock.advance(1_000);
    expect(await late).toBeNull();
    expect(budget.waiting).toBe(0);
  });

  test("to one who has gone", async () => {
    const { budget } = setUp(10);
    expect(await budget.take(1, AbortSignal.abort())).toBeNull();
    expect(budget.left).toBe(10);
  });

  test("to one who goes while waiting; who stood behind is served", async () => {
    const { budget } = setUp(10);
    await budget.take(6, never);
    const gone = new AbortController();
    const large = budget.take(8, gone.signal);
    const small = budget.take(2, never);
    gone.abort();
    expect(await large).toBeNull();
    expect(await small).not.toBeNull();
    expect(budget.left).toBe(2);
  });
});
