import { expect } from "vitest";

// What test files import in place of vitest: tests are collected, and run when they are asked for.

/** A test of a file that was loaded. */
export interface CollectedTest {
  readonly name: string;
  readonly run: () => unknown;
}

export const collected: CollectedTest[] = [];
const names: string[] = [];

type Body = (...values: unknown[]) => unknown;

function test(name: string, body: Body): void {
  collected.push({ name: [...names, name].join(" › "), run: body });
}

function describe(name: string, body: () => void): void {
  names.push(name);
  body();
  names.pop();
}

const each =
  (one: (name: string, body: Body) => void) =>
  (cases: readonly unknown[]) =>
  (name: string, body: Body): void => {
    for (const [i, values] of cases.entries())
      one(`${name} #${i}`, () => (Array.isArray(values) ? body(...(values as unknown[])) : body(values)));
  };

test.each = each(test);
describe.each = each(describe);
/** Tests that cannot run here have nothing to say. */
test.skipIf = (isSkipped: boolean) => (isSkipped ? () => {} : test);
describe.skipIf = (isSkipped: boolean) => (isSkipped ? () => {} : describe);

const vi = { setConfig: (): void => {} };

export { describe, expect, test, test as it, vi };
