import { describe, expect, test } from "vitest";
import type { Logger, LogLevel } from "../../../src/core/ports.ts";
import { createLogger } from "../../../src/observe/log.ts";

describe("the program's log", () => {
  test("is one JSON object a line", () => {
    const { logger, lines } = open("info");
    logger.log("info", "svid-issued", { spiffeId: "spiffe://cluster.local/ns/shop/sa/web", count: 2, serial: null });
    expect(lines).toEqual([
      '{"time":"1970-01-01T00:00:01.500Z","level":"info","process":"control","event":"svid-issued",' +
        '"spiffeId":"spiffe://cluster.local/ns/shop/sa/web","count":2}',
    ]);
  });

  test.each([
    ["debug", ["debug", "info", "warn", "error"]],
    ["info", ["info", "warn", "error"]],
    ["warn", ["warn", "error"]],
    ["error", ["error"]],
  ] as const)("at level %s writes %j", (level, written) => {
    const { logger, lines } = open(level);
    const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];
    for (const each of levels) logger.log(each, "event");
    expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(written);
    expect(levels.filter((each) => logger.isEnabled(each))).toEqual(written);
  });

  test("does not write a field that is not listed, and says so", () => {
    const { logger, lines } = open("info");
    // The type forbids it; an object that came from elsewhere brings it in all the same.
    const fields: object = { code: "attestation-failed", token: "s3cret", body: "x" };
    logger.log("warn", "join-refused", fields);
    expect(lines[0]).not.toContain("s3cret");
    expect(JSON.parse(lines[0]!)).toMatchObject({ code: "attestation-failed", unlisted: "token,body" });
  });

  test.each([
    ["a private key", "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG\n-----END PRIVATE KEY-----"],
    ["a private key that was cut", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIMIGHAgEAMBMGByqG"],
    ["a bearer token", "sent Authorization: Bearer MIGHAgEAMBMGByqG"],
    ["a JWT", "token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.MIGHAgEAMBMGByqG is stale"],
    ["a password in a URL", "cannot reach http://web:MIGHAgEAMBMGByqG@proxy:3128"],
  ])("does not write %s that got into a message", (_name, message) => {
    const { logger, lines } = open("info");
    logger.log("error", "internal", { message });
    expect(lines[0]).not.toContain("MIGHAgEAMBMGByqG");
    expect(lines[0]).toContain("[redacted]");
  });

  test.each([
    ["a newline that would begin a second event", 'x\n{"level":"info"}'],
    ["an ANSI escape", "\u001b[2J\u009b31m"],
    ["a quote", '","level":"info'],
  ])("keeps %s inside its field", (_name, message) => {
    const { logger, lines } = open("info");
    logger.log("error", "internal", { message });
    expect(lines[0]).not.toMatch(/\p{C}/u);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: "error", message });
  });

  test("writes a number that JSON has not as a text", () => {
    const { logger, lines } = open("info");
    logger.log("info", "event", { durationMs: Number.NaN });
    expect(JSON.parse(lines[0]!)).toMatchObject({ durationMs: "NaN" });
  });
});

function open(level: LogLevel): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  return {
    logger: createLogger({ write: (line) => lines.push(line), level, process: "control", wallMs: () => 1_500 }),
    lines,
  };
}
