import { expect, test } from "vitest";
import { createPortChooser, type PortChooser } from "../../../../src/cli/local/ports.ts";
import { CardeaError } from "../../../../src/core/errors.ts";

function chooser(taken: readonly number[], reserved: readonly number[] = []): PortChooser {
  return createPortChooser((port) => Promise.resolve(!taken.includes(port)), new Set(reserved));
}

test("a default port that is free is used, and nothing is said of it", async () => {
  const ports = chooser([]);
  expect(await ports.choose("admin port", 15_100)).toBe(15_100);
  expect(ports.stepped).toEqual([]);
});

test("a default port that is taken is stepped around, and said", async () => {
  const ports = chooser([15_101, 15_102]);
  expect(await ports.choose("outbound port of shop/web", 15_101)).toBe(15_103);
  expect(ports.stepped).toEqual([{ purpose: "outbound port of shop/web", wanted: 15_101, got: 15_103 }]);
});

test("stepping takes nobody else's default", async () => {
  const ports = chooser([15_101], [15_101, 15_102, 15_103]);
  expect(await ports.choose("outbound port", 15_101)).toBe(15_104);
  expect(await ports.choose("other", 15_102)).toBe(15_102);
});

test("no port is given twice", async () => {
  const ports = chooser([]);
  expect([await ports.choose("a", 100), await ports.choose("b", 100)]).toEqual([100, 101]);
});

test("a port that was asked for is not stepped around", async () => {
  const ports = chooser([9001]);
  await expect(ports.claim("outbound port of shop/web", 9001)).rejects.toThrow(
    new CardeaError("bad-input", "port 9001, asked for as the outbound port of shop/web, is taken"),
  );
});

test("a port that is asked for twice is refused the second time", async () => {
  const ports = chooser([]);
  expect(await ports.claim("a", 9001)).toBe(9001);
  await expect(ports.claim("b", 9001)).rejects.toMatchObject({ code: "bad-input" });
});

test("when nothing is free up to the last port, that is said", async () => {
  const ports = createPortChooser(() => Promise.resolve(false), new Set());
  await expect(ports.choose("admin port", 65_000)).rejects.toMatchObject({ code: "unreachable" });
});
