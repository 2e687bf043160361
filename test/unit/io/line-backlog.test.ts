import { describe, expect, it } from "vitest";
import { LineBacklog } from "../../../src/io/line-backlog.ts";

describe("a backlog of lines", () => {
  it("gives them in order, each with its line feed, and counts what waits", () => {
    const backlog = new LineBacklog(64);
    add(backlog, "one");
    add(backlog, "zwölf");
    expect([backlog.lines, backlog.bytes]).toEqual([2, 11]);
    expect(textOf(backlog)).toBe("one\nzwölf\n");
    expect([backlog.lines, backlog.bytes]).toEqual([0, 0]);
    expect(backlog.take()).toBeNull();
  });

  it("begins another block where the next line does not fit", () => {
    const backlog = new LineBacklog(64);
    for (const line of ["a".repeat(20), "b".repeat(20), "c".repeat(20)]) add(backlog, line);
    const batches = [textOf(backlog), textOf(backlog), textOf(backlog)];
    expect(batches.join("")).toBe(`${"a".repeat(20)}\n${"b".repeat(20)}\n${"c".repeat(20)}\n`);
    expect(batches.every((batch) => batch.endsWith("\n") || batch === "")).toBe(true);
  });

  it("has room for a line that is longer than a block, whatever it is made of", () => {
    const backlog = new LineBacklog(16);
    const line = "🦊é".repeat(100);
    add(backlog, "short");
    add(backlog, line);
    expect(textOf(backlog) + textOf(backlog)).toBe(`short\n${line}\n`);
  });

  it("does not write over a batch that has not been given back", () => {
    const backlog = new LineBacklog(64);
    add(backlog, "first");
    const first = backlog.take()!;
    add(backlog, "second");
    expect(first.bytes.toString()).toBe("first\n");
    backlog.giveBack(first);
    add(backlog, "third");
    expect(textOf(backlog)).toBe("second\nthird\n");
    add(backlog, "fourth");
    expect(textOf(backlog)).toBe("fourth\n");
  });

  it("forgets what waits", () => {
    const backlog = new LineBacklog(64);
    add(backlog, "lost");
    backlog.clear();
    expect([backlog.lines, backlog.bytes, backlog.take()]).toEqual([0, 0, null]);
  });
});

function add(backlog: LineBacklog, line: string): void {
  const bytes = Buffer.from(`${line}, and what does not belong to it`);
  backlog.add(bytes, Buffer.byteLength(line));
}

function textOf(backlog: LineBacklog): string {
  return backlog.take()?.bytes.toString("utf8") ?? "";
}
