import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { FLOW_FIELDS, type FlowPeer, type FlowRecord, NO_TLS } from "../../../src/observe/flow.ts";
import { formatFlowLine, parseFlowLine } from "../../../src/observe/flow-line.ts";
import { isCutText } from "../../../src/observe/json-text.ts";
import { PAYMENTS, sampleFlow, WEB } from "../../support/sample-flow.ts";

describe("a flow line", () => {
  test("reads as plain JSON", () => {
    expect(JSON.parse(formatFlowLine(sampleFlow()))).toMatchObject({
      time: "2026-11-22T09:30:00.125Z",
      id: "9f1c2a7be03d4455",
      verdict: "denied",
      reason: "no-allow-rule-matched",
      source: { principal: "spiffe://cluster.local/ns/shop/sa/web", namespace: "shop" },
      destination: { service: "payments.shop.svc.cluster.local", port: 8080, labels: { app: "payments" } },
      method: "GET",
      path: "/admin/refunds",
      status: 403,
      durationMs: 0.412,
    });
  });

  test("has every field of the table, in its order, and no other", () => {
    expect(namesOf(JSON.parse(formatFlowLine(filledFlow())))).toEqual(
      Object.keys(FLOW_FIELDS).map((name) => (name === "timeMs" ? "time" : name)),
    );
  });

  test("leaves out what is not known", () => {
    const line = formatFlowLine(emptyFlow());
    expect(line).not.toContain("null");
    const always = Object.entries(FLOW_FIELDS).filter(([, field]) => !field.isNullable);
    expect(namesOf(JSON.parse(line))).toEqual(always.map(([name]) => (name === "timeMs" ? "time" : name)));
  });

  test.each([filledFlow(), emptyFlow(), sampleFlow()])("comes back as the same record (%#)", (flow) => {
    expect(parseFlowLine(formatFlowLine(flow))).toEqual(flow);
  });

  test.each([
    ["a leap of the clock back before 1970", -1.5, "1969-12-31T23:59:59.998Z"],
    ["a fraction of a millisecond", Date.UTC(2026, 0, 2, 3, 4, 5, 6) + 0.9, "2026-01-02T03:04:05.006Z"],
    ["the last millisecond of a second", Date.UTC(2026, 0, 2, 3, 4, 5, 999), "2026-01-02T03:04:05.999Z"],
  ])("tells the time after %s", (_name, timeMs, time) => {
    expect(JSON.parse(formatFlowLine(sampleFlow({ timeMs })))).toMatchObject({ time });
  });

  test.each([
    ["whole milliseconds", 12, 12],
    ["microseconds", 0.0126, 0.013],
    ["hours", 7_200_000.5, 7_200_000.5],
    ["a fault's NaN", Number.NaN, 0],
    ["a fault's negative", -3, 0],
    ["a fault's infinity", Number.POSITIVE_INFINITY, 0],
  ])("writes a duration of %s as a number", (_name, durationMs, written) => {
    expect(JSON.parse(formatFlowLine(sampleFlow({ durationMs })))).toMatchObject({ durationMs: written });
  });
});

describe("hostile values in a flow line", () => {
  test.each([
    ["a quote and a backslash", '/"},"verdict":"allowed","x":"\\'],
    ["a newline that would begin a second record", '/x\n{"verdict":"allowed"}'],
    ["carriage return and NUL", "/\r\0"],
    ["an ANSI escape", "/\u001b[2J\u001b]0;owned\u0007"],
    ["a C1 control sequence introducer", "/\u009b31m"],
    ["DEL", "/\u007f"],
    ["JavaScript's line separators", "/\u2028\u2029"],
    ["text that is shown from right to left", "/\u202etxt.exe"],
    ["invisible characters", "/\u200b\ufeff\u{e0041}"],
    ["a lone surrogate", "/\ud800"],
    ["bytes that are no UTF-8, read as Latin-1", Buffer.from([0x2f, 0xff, 0xfe, 0xc0]).toString("latin1")],
    ["HTML", "/<script>alert(1)</script>"],
  ])("%s neither breaks the line nor reaches the terminal", (_name, path) => {
    const line = formatFlowLine(sampleFlow({ path, method: path, host: path, detail: path }));
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    expect(Buffer.from(line, "utf8").toString("utf8")).toBe(line);
    expect(parseFlowLine(line)).toMatchObject({ verdict: "denied", path, method: path, host: path, detail: path });
  });

  test("whatever text comes in, the line stays one line of JSON that gives the text back", () => {
    const anyText = fc.string({ unit: "binary", maxLength: 200 });
    fc.assert(
      fc.property(anyText, anyText, anyText, fc.dictionary(anyText, anyText), (path, host, sni, labels) => {
        const destination = { ...PAYMENTS, labels };
        const line = formatFlowLine(sampleFlow({ path, host, tls: { ...NO_TLS, sni }, destination }));
        expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(JSON.parse(line)).toMatchObject({ path, host, tls: { sni } });
      }),
      { seed: 7, numRuns: 2_000 },
    );
  });

  test.each([
    ["ASCII", "a", 10_000],
    ["characters of two bytes", "é", 5_000],
    ["characters of four bytes", "🦊", 5_000],
    ["characters that are written as escapes", "\u0001", 10_000],
  ])("a field of too many bytes is cut and marked: %s", (_name, character, count) => {
    const path = parseFlowLine(formatFlowLine(sampleFlow({ path: character.repeat(count) })))?.path ?? "";
    const [kept, mark] = path.split("…");
    expect(Buffer.byteLength(kept!)).toBeLessThanOrEqual(LIMITS.logFieldBytesMax);
    expect(Buffer.byteLength(kept!)).toBeGreaterThan(LIMITS.logFieldBytesMax - 4);
    expect(kept).not.toContain("\ufffd");
    expect(mark).toBe(`[${Buffer.byteLength(character) * count - Buffer.byteLength(kept!)} bytes cut]`);
    expect(isCutText(path)).toBe(true);
  });

  test("a field of just the limit is whole", () => {
    const path = "é".repeat(LIMITS.logFieldBytesMax / 2);
    expect(parseFlowLine(formatFlowLine(sampleFlow({ path })))?.path).toBe(path);
    expect(isCutText(path)).toBe(false);
  });
});

describe("parseFlowLine", () => {
  test("passes over fields of a newer version", () => {
    const line = formatFlowLine(sampleFlow()).replace(/}$/, ',"weather":{"kind":"rain"}}');
    expect(parseFlowLine(line)).toEqual(sampleFlow());
  });

  const whole = JSON.parse(formatFlowLine(sampleFlow())) as Record<string, object>;
  test.each([
    ["nothing", ""],
    ["half a line", formatFlowLine(sampleFlow()).slice(0, 300)],
    ["a list", "[]"],
    ["null", "null"],
    ["a line of another program", '{"level":"info","event":"started"}'],
    ["an unknown verdict", JSON.stringify({ ...whole, verdict: "forgiven" })],
    ["an unknown reporter", JSON.stringify({ ...whole, reporter: "bystander" })],
    ["a reason with an escape in it", JSON.stringify({ ...whole, reason: "\u001b[2J" })],
    ["a time that is none", JSON.stringify({ ...whole, time: "yesterday" })],
    ["a time that is a number", JSON.stringify({ ...whole, time: 12 })],
    ["a port that is text", JSON.stringify({ ...whole, destination: { ...whole["destination"], port: "80" } })],
    ["a source that is text", JSON.stringify({ ...whole, source: "web" })],
    ["labels that are a list", JSON.stringify({ ...whole, destination: { ...whole["destination"], labels: ["a"] } })],
    [
      "a label that is a number",
      JSON.stringify({ ...whole, destination: { ...whole["destination"], labels: { a: 1 } } }),
    ],
    ["a path that is an object", JSON.stringify({ ...whole, path: {} })],
  ])("refuses %s", (_name, line) => {
    expect(parseFlowLine(line)).toBeNull();
  });
});

function filledFlow(): FlowRecord {
  const peer: FlowPeer = { ...WEB, service: "web.shop.svc.cluster.local", labels: { app: "web" } };
  return sampleFlow({
    detail: "two Content-Length headers",
    grpcStatus: 16,
    policy: "shop/payments",
    rule: 0,
    ticket: "OPS-1",
    auditedBy: "shop/watch#1",
    dryRun: "denied",
    dryRunBy: "shop/staged#0",
    source: peer,
    remoteIp: "203.0.113.9",
    servicePort: 80,
    receivedPath: "/public/../admin/refunds",
    upstreamPort: 51_234,
    appSni: "db.example.com",
    route: "shop/payments",
    attempts: 2,
    retriedFor: "upstream-reset",
    requestPrincipal: "https://id.example/alice",
    sampledFrom: 10,
  });
}

function emptyFlow(): FlowRecord {
  const nobody: FlowPeer = Object.freeze({
    ip: "::1",
    port: 1,
    principal: null,
    namespace: null,
    workload: null,
    service: null,
    labels: null,
  });
  const nulls = Object.entries(FLOW_FIELDS).filter(([name, field]) => field.isNullable && !name.includes("."));
  const changes = Object.fromEntries(nulls.map(([name]) => [name, null])) as Partial<FlowRecord>;
  return sampleFlow({ ...changes, source: nobody, destination: nobody, tls: NO_TLS });
}

/** Names as the table has them: `source.ip` for what is nested; labels are one field. */
function namesOf(json: Record<string, unknown>): string[] {
  return Object.entries(json).flatMap(([name, value]) =>
    typeof value === "object" ? Object.keys(value ?? {}).map((inner) => `${name}.${inner}`) : [name],
  );
}
