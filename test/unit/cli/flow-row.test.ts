import { describe, expect, test } from "vitest";
import { formatCompact } from "../../../src/cli/flow-compact.ts";
import { renderFlow, renderFlowHeader } from "../../../src/cli/flow-row.ts";
import { visibleLine, visibleText, wrapText } from "../../../src/cli/flow-text.ts";
import type { FlowRecord } from "../../../src/observe/flow.ts";
import { PAYMENTS, plaintextFlow, sampleFlow, WEB } from "../../support/sample-flow.ts";

const HOSTILE = '\u001b[2J\u009b31m\r\n\u0000\u202e\u200b" <b>é字\ud800';

describe("a flow in one line", () => {
  test.each([
    [
      "a denial on 80 columns",
      sampleFlow(),
      80,
      /denied {5}web → payments {7}GET \/admin\/refunds 403 9f1c2a7be03d4455$/,
    ],
    ["the reason on 120 columns", sampleFlow(), 120, / 403 no-allow-rule-matched {2}0.4ms {3}9f1c2a7be03d4455$/],
    ["namespaces on 160 columns", sampleFlow(), 160, / shop\/web → shop\/payments /],
    ["the policy where one decided", sampleFlow({ policy: "shop/deny-admin" }), 120, / 403 shop\/deny-admin /],
    [
      "a caller without identity",
      plaintextFlow({ method: null, status: null }),
      80,
      / 127.0.0.1 → payments http :8080 +- /,
    ],
    [
      "a connection",
      sampleFlow({ protocol: "tcp", method: null, status: null }),
      80,
      / web → payments +tcp :8080 +- +9f1c/,
    ],
    ["a host that no service has", lost("nowhere.example"), 160, / shop\/web → nowhere.example /],
    [
      "a caller known by its identity alone",
      sampleFlow({ source: { ...WEB, workload: null } }),
      80,
      / web → payments /,
    ],
    ["a caller from a foreign domain", sampleFlow({ source: foreign() }), 160, / spiffe:\/\/other\/gateway → /],
  ])("shows %s", (_name, flow, width, expected) => {
    expect(renderFlow(flow, width, false)).toMatch(expected);
  });

  test.each([80, 100, 111, 112, 120, 143, 144, 200])("fits %d columns, whatever is in it", (width) => {
    for (const flow of [sampleFlow(), plaintextFlow(), lost("h".repeat(300)), hostile()]) {
      expect(renderFlow(flow, width, false).length).toBeLessThanOrEqual(width);
    }
    expect(renderFlowHeader(width, false).length).toBeLessThanOrEqual(width);
  });

  test("has its columns under their titles", () => {
    for (const width of [80, 120, 160]) {
      const header = renderFlowHeader(width, false);
      const row = renderFlow(sampleFlow(), width, false);
      expect(row.slice(header.indexOf("VERDICT")).startsWith("denied")).toBe(true);
      expect(row.slice(header.indexOf("REQUEST")).startsWith("GET")).toBe(true);
      expect(row.slice(header.indexOf("ID", header.indexOf("ST"))).startsWith("9f1c")).toBe(true);
    }
  });

  test.each([
    ["allowed", "\u001b[32mallowed\u001b[0m"],
    ["denied", "\u001b[1;31m"],
    ["would-deny", "\u001b[33m"],
    ["error", "\u001b[35m"],
  ] as const)("is coloured by its verdict: %s", (verdict, colour) => {
    expect(renderFlow(sampleFlow({ verdict }), 80, true)).toContain(colour);
    expect(renderFlow(sampleFlow({ verdict }), 80, false)).not.toContain("\u001b");
  });

  test("a path cannot take the verdict's colour", () => {
    const line = renderFlow(sampleFlow({ verdict: "allowed", path: "/ allowed x" }), 120, true);
    expect(line.split("\u001b[32m")).toHaveLength(2);
    expect(line.indexOf("\u001b[32m")).toBeLessThan(line.indexOf("web"));
  });
});

describe("hostile values on a terminal", () => {
  test.each([80, 120, 160])("stay visible text in a row of %d columns", (width) => {
    expect(renderFlow(hostile(), width, false).replaceAll(/[→…]/g, "")).toMatch(/^[ -~]*$/);
  });

  test.each([`${HOSTILE} verdict=allowed "x=y"`, '\\" verdict=allowed "', "a b\\", "verdict=allowed", "", " "])(
    "stay visible text in the compact form, and cannot add a word to it (%#)",
    (path) => {
      const line = formatCompact(sampleFlow({ path }));
      expect(line).toMatch(/^[ -~]*$/);
      const words = line.replace(/"(?:[^"\\]|\\.)*"/g, "QUOTED").split(" ");
      expect(words.filter((word) => word.startsWith("verdict="))).toEqual(["verdict=denied"]);
      expect(words.every((word) => /^[\w.]+=[^=]+$/.test(word))).toBe(true);
    },
  );

  test.each([
    ["an escape", "\u001b[2J", "\\x1b[2J"],
    ["a C1 control", "\u009b", "\\x9b"],
    ["a newline", "a\nb", "a\\x0ab"],
    ["text from right to left", "\u202e", "\\u{202e}"],
    ["a wide character", "字", "\\u{5b57}"],
    ["a character beyond 16 bits", "🦊", "\\u{1f98a}"],
    ["a lone surrogate", "\ud800", "\\u{d800}"],
    ["printable ASCII", "GET /a?b=~", "GET /a?b=~"],
  ])("%s is written out", (_name, text, visible) => {
    expect(visibleText(text)).toBe(visible);
  });

  test("lines of policy files keep their script and lose what acts", () => {
    expect(visibleLine("\tpaths: [Ä字] # \u001b[2J\u2028\u202e")).toBe("  paths: [Ä字] # \\x1b[2J\\u{2028}\\u{202e}");
  });
});

describe("the compact form", () => {
  test("names its fields in the order of the table", () => {
    expect(formatCompact(sampleFlow({ policy: "shop/a b" }))).toBe(
      "time=2026-11-22T09:30:00.125Z id=9f1c2a7be03d4455 reporter=destination verdict=denied " +
        "reason=no-allow-rule-matched source.principal=spiffe://cluster.local/ns/shop/sa/web " +
        "destination.principal=spiffe://cluster.local/ns/shop/sa/payments " +
        "destination.service=payments.shop.svc.cluster.local destination.port=8080 protocol=http method=GET " +
        'path=/admin/refunds status=403 policy="shop/a b" revision=0a1b2c3d4e5f bytesReceived=0 bytesSent=0 ' +
        "durationMs=0.412 endedBy=sidecar traceId=4bf92f3577b34da6a3ce929d0e0e4736",
    );
  });
});

test("text is broken at its spaces", () => {
  expect(wrapText("one two three four", 9)).toEqual(["one two", "three", "four"]);
  expect(wrapText("", 9)).toEqual([]);
  expect(wrapText("supercalifragilistic is", 9)).toEqual(["supercalifragilistic", "is"]);
});

function lost(host: string): FlowRecord {
  const nowhere = { ...PAYMENTS, principal: null, namespace: null, workload: null, service: null, labels: null };
  return sampleFlow({ verdict: "error", reason: "no-route", host, destination: nowhere });
}

function foreign(): FlowRecord["source"] {
  return { ...WEB, workload: null, namespace: null, principal: "spiffe://other/gateway" };
}

function hostile(): FlowRecord {
  return sampleFlow({
    id: HOSTILE,
    method: HOSTILE,
    path: HOSTILE.repeat(9),
    policy: HOSTILE,
    source: { ...WEB, workload: HOSTILE, namespace: HOSTILE },
    destination: { ...PAYMENTS, workload: HOSTILE, namespace: HOSTILE },
  });
}
