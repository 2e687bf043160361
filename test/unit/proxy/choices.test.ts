import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.ts";
import { AcceptGate } from "../../../src/proxy/accept.ts";
import { chooseHttpAlpn, chooseTcpAlpn, lookForTls, lookForHttp2 } from "../../../src/proxy/detect.ts";
import { lifetimeOf } from "../../../src/proxy/lifetime.ts";
import { LiveConnections } from "../../../src/proxy/live.ts";
import { createTraceIds } from "../../../src/wire/trace-context.ts";
import { createSimClock } from "../../support/sim-clock.ts";

describe("the protocol of a port", () => {
  it.each([
    [["http/1.1"], "http/1.1"],
    [["h2", "http/1.1"], "h2"],
    [["http/1.1", "h2"], "h2"],
    [["istio-h2", "istio", "h2", "http/1.1"], "istio-h2"],
    [["istio-http/1.1", "istio"], "istio-http/1.1"],
    [["istio-peer-exchange", "h2"], "h2"],
    [["h3"], null],
    [["istio"], null],
    [["istio-peer-exchange", "istio"], null],
    [["http/1.0"], null],
    [[], null],
  ])("HTTP, offered %j: %s", (offered, chosen) => expect(chooseHttpAlpn(offered)).toBe(chosen));

  it.each([
    [["istio"], "istio"],
    [["h2", "istio"], "istio"],
    [["h2"], "h2"],
    [["istio-peer-exchange", "istio"], "istio"],
    [["istio-peer-exchange"], null],
    [[], null],
  ])("TCP, offered %j: %s", (offered, chosen) => expect(chooseTcpAlpn(offered)).toBe(chosen));

  it.each([
    ["160301", "tls"],
    ["160303ff", "tls"],
    ["", "undecided"],
    ["16", "undecided"],
    ["1603", "undecided"],
    ["160305", "plaintext"],
    ["1602", "plaintext"],
    ["160201", "plaintext"],
    ["17", "plaintext"],
    ["170303", "plaintext"],
    ["47", "plaintext"],
    ["474554", "plaintext"],
  ])("a connection that begins %s is %s", (hex, expected) => {
    expect(lookForTls(Buffer.from(hex, "hex"))).toBe(expected);
  });

  it.each([
    ["", "undecided"],
    ["P", "undecided"],
    ["PRI", "undecided"],
    ["PRI ", "h2"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2"],
    ["PRI\r", "http/1.1"],
    ["PRINT * HTTP/1.1\r\n", "http/1.1"],
    ["pri ", "http/1.1"],
    ["POST /", "http/1.1"],
    ["PU", "http/1.1"],
    ["GET ", "http/1.1"],
    ["\x16\x03", "http/1.1"],
  ])("a plaintext connection that begins %j speaks %s", (text, expected) => {
    expect(lookForHttp2(Buffer.from(text, "latin1"))).toBe(expected);
  });
});

describe("a connection's lifetime", () => {
  it.each([10_000, 100_000, 3_600_000])(
    "ends with its certificates, in %d ms, and retires first at the sender's",
    (ms) => {
      const now = 1_000_000;
      const taken = lifetimeOf("downstream", now + ms, now);
      const sent = lifetimeOf("upstream", now + ms, now);
      expect(taken.endsAtMs).toBe(now + ms);
      expect(sent.endsAtMs).toBe(now + ms);
      expect(sent.retiresAtMs).toBeLessThan(taken.retiresAtMs);
      expect(taken.retiresAtMs).toBeLessThan(taken.endsAtMs);
      expect(taken.endsAtMs - taken.retiresAtMs).toBeLessThanOrEqual(LIMITS.connectionRetireMsMax);
    },
  );

  it("is over at once when they have ended", () => {
    expect(lifetimeOf("upstream", 5, 10).retiresAtMs).toBe(5);
  });
});

describe("the gate", () => {
  it("closes at the limit, handshakes counted, and opens again", async () => {
    const gate = new AcceptGate(new LiveConnections(createSimClock(0)));
    const { promise, resolve } = Promise.withResolvers<void>();
    const running = Array.from({ length: LIMITS.connectionsMax }, () => gate.run(() => promise));
    expect(() => gate.assertOpen()).toThrow(expect.objectContaining({ code: "overloaded" }));
    await expect(gate.run(async () => {})).rejects.toMatchObject({ code: "overloaded" });
    resolve();
    await Promise.all(running);
    expect(() => gate.assertOpen()).not.toThrow();
  });

  it("is closed while the sidecar drains", () => {
    const live = new LiveConnections(createSimClock(0));
    live.drain();
    expect(() => new AcceptGate(live).assertOpen()).toThrow(expect.objectContaining({ code: "draining" }));
  });
});

describe("ids of traces", () => {
  it("are never all zero", () => {
    const ids = createTraceIds({ bytes: (count) => Buffer.alloc(count), float: () => 0 });
    expect(ids.traceId()).toBe(`${"0".repeat(31)}1`);
    expect(ids.spanId()).toBe(`${"0".repeat(15)}1`);
  });
});
