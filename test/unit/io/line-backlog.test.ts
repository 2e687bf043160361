import { describe, expect, it } from "vitest";
import { LineBacklog } from "../../../src/io/line-backlog.ts";

describe("a backlog of lines", () => {
  it("gives them in order, each with its line feed, and counts what waits", () => {
    const backlog = new LineBacklog(64);
    backlog.add("one");
    backlog.add("zwölf");
    expect([backlog.lines, backlog.bytes]).toEqual([2, 11]);
    expect(textOf(backlog)).toBe("one\nzwölf\n");
    expect([backlog.lines, backlog.bytes]).toEqual([0, 0]);
    expect(backlog.take()).toBeNull();
  });

  it("begins another block where the next line might not fit", () => {
    const backlog = new LineBacklog(64);
    for (const line of ["a".repeat(20), "b".repeat(20), "c".repeat(20)]) backlog.add(line);
    const batches = [textOf(backlog), textOf(backlog), textOf(backlog)];
    expect(batches.join("")).toBe(`${"a".repeat(20)}\n${"b".repeat(20)}\n${"c".repeat(20)}\n`);
    expect(batches.every((batch) => batch.endsWith("\n") || batch === "")).toBe(true);
  });

  it("has room for a line that is longer than a block, whatever it is made of", () => {
    const backlog = new LineBacklog(16);
    const line = "🦊é".repeat(100);
    backlog.add("short");
    backlog.add(line);
    expect(textOf(backlog) + textOf(backlog)).toBe(`short\n${line}\n`);
  });

  it("does not write over a batch that has not been given back", () => {
    const backlog = new LineBacklog(64);
    backlog.add("first");
    const first = backlog.take()!;
    backlog.add("second");
    expect(first.bytes.toString()).toBe("first\n");
    backlog.giveBack(first);
    backlog.add("third");
    expect(textOf(backlog)).toBe("second\nthird\n");
    backlog.add("fourth");
    expect(textOf(backlog)).toBe("fourth\n");
  });

  it("forgets what waits", () => {
    const backlog = new LineBacklog(64);
    backlog.add("lost");
    backlog.clear();
    expect([backlog.lines, backlog.bytes, backlog.take()]).toEqual([0, 0, null]);
  });
});

function textOf(backlog: LineBacklog): string {
  return backlog.take()?.bytes.toString("utf8") ?? "";
}
