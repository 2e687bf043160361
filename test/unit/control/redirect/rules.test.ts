import { describe, expect, it } from "vitest";
import { cidrHolds, parseIp } from "../../../../src/core/cidr.ts";
import { isInRanges } from "../../../../src/core/port-range.ts";
import { type RedirectRule, redirectRules } from "../../../../src/control/redirect/rules.ts";
import { parseRedirectSettings } from "../../../../src/control/redirect/settings.ts";

// The rules as the kernel asks them: the first that fits decides.

const POD = "10.1.0.5";
const APP = 1_000;
const SIDECAR = 1_337;

interface Packet {
  readonly uid?: number;
  readonly gid?: number;
  readonly from?: string;
  readonly to: string;
  readonly port: number;
}

type Fate = "left alone" | "inbound" | "outbound";

function send(packet: Packet, flags: Record<string, string> = {}): Fate {
  const { outbound } = redirectRules(parseRedirectSettings((name) => flags[name], {}));
  const isLocal = packet.to === POD || packet.to.startsWith("127.") || packet.to === "::1" || packet.to === "fd00::5";
  const fate = ask(outbound, { gid: packet.uid ?? APP, from: POD, uid: APP, ...packet }, isLocal);
  return fate === "arrives" ? arrive(packet.port, flags) : fate;
}

function arrive(port: number, flags: Record<string, string> = {}): Fate {
  const { inbound } = redirectRules(parseRedirectSettings((name) => flags[name], {}));
  const fate = ask(inbound, { uid: 0, gid: 0, from: "10.1.0.9", to: POD, port }, false);
  return fate === "arrives" ? "left alone" : fate;
}

function ask(rules: readonly RedirectRule[], packet: Required<Packet>, local: boolean): Fate | "arrives" {
  const hit = rules.find(
    ({ from, to, port, isLocal, uid, gid }) =>
      (from === undefined || cidrHolds(from, parseIp(packet.from))) &&
      (to === undefined || cidrHolds(to, parseIp(packet.to))) &&
      (port === undefined || isInRanges([port], packet.port)) &&
      (isLocal === undefined || local) &&
      (uid === undefined || uid === packet.uid) &&
      (gid === undefined || gid === packet.gid),
  );
  if (hit === undefined || hit.verdict === "leave") return "left alone";
  if (hit.verdict === "arrive") return "arrives";
  return hit.verdict === "to-inbound" ? "inbound" : "outbound";
}

describe("what comes to the pod", () => {
  it.each([[80], [8_080], [53], [1], [65_535]])("port %i is captured", (port) => {
    expect(arrive(port)).toBe("inbound");
  });

  it.each([[15_000], [15_001], [15_002], [15_006]])("so is our own port %i, to be refused there", (port) => {
    expect(arrive(port)).toBe("inbound");
  });

  it.each([[15_008], [15_020], [15_021]])("our port %i is reached by itself", (port) => {
    expect(arrive(port)).toBe("left alone");
    expect(arrive(port, { "inbound-ports": "80" })).toBe("left alone");
  });

  it("an excluded port is not captured, though it is listed, too", () => {
    const flags = { "inbound-ports": "80-90", "exclude-inbound-ports": "81-82" };
    expect([79, 80, 81, 82, 83, 90, 91].map((port) => arrive(port, flags))).toEqual([
      "left alone",
      "inbound",
      "left alone",
      "left alone",
      "inbound",
      "inbound",
      "left alone",
    ]);
  });
});

describe("what the app sends", () => {
  it.each([
    ["another pod", { to: "10.1.0.9", port: 80 }],
    ["a service", { to: "10.96.0.1", port: 443 }],
    ["the world", { to: "203.0.113.1", port: 443 }],
    ["another pod over IPv6", { to: "fd00::9", port: 80 }],
    ["another sidecar's own port", { to: "10.1.0.9", port: 15_008 }],
    ["another pod as root", { uid: 0, to: "10.1.0.9", port: 80 }],
    [
      "another pod, from the address that the sidecar's inbound side uses",
      { from: "127.0.0.6", to: "10.1.0.9", port: 80 },
    ],
    ["another pod in the sidecar's group", { gid: SIDECAR, to: "10.1.0.9", port: 80 }],
    ["DNS over TLS", { to: "10.96.0.10", port: 853 }],
  ])("to %s is captured", (_to, packet) => {
    expect(send(packet)).toBe("outbound");
  });

  it.each([
    ["DNS", { to: "10.96.0.10", port: 53 }],
    ["loopback", { to: "127.0.0.1", port: 80 }],
    ["other loopback addresses", { to: "127.8.8.8", port: 80 }],
    ["IPv6's loopback", { to: "::1", port: 80 }],
    ["its own pod", { to: POD, port: 80 }],
    ["its own pod over IPv6", { to: "fd00::5", port: 80 }],
  ])("to %s is left alone", (_to, packet) => {
    expect(send(packet)).toBe("left alone");
  });

  it("goes by exclusions first, then by ports, then by ranges", () => {
    const flags = {
      "outbound-cidrs": "10.0.0.0/8,fd00::/8",
      "exclude-outbound-cidrs": "10.9.0.0/16",
      "outbound-ports": "443",
      "exclude-outbound-ports": "3306",
    };
    expect(send({ to: "10.1.0.9", port: 80 }, flags)).toBe("outbound");
    expect(send({ to: "fd00::9", port: 80 }, flags)).toBe("outbound");
    expect(send({ to: "203.0.113.1", port: 443 }, flags)).toBe("outbound");
    expect(send({ to: "203.0.113.1", port: 80 }, flags)).toBe("left alone");
    expect(send({ to: "2001:db8::1", port: 80 }, flags)).toBe("left alone");
    expect(send({ to: "10.9.0.1", port: 80 }, flags)).toBe("left alone");
    expect(send({ to: "10.9.0.1", port: 443 }, flags)).toBe("left alone");
    expect(send({ to: "10.1.0.9", port: 3_306 }, flags)).toBe("left alone");
  });

  it("is left alone where the sidecar's group was told, and it is of it", () => {
    expect(send({ gid: SIDECAR, to: "10.1.0.9", port: 80 }, { gid: "1337" })).toBe("left alone");
  });
});

describe("what the sidecar sends", () => {
  it.each([
    ["to another pod", { to: "10.1.0.9", port: 15_008 }],
    ["to the world", { to: "203.0.113.1", port: 443 }],
    ["to its app, from where it dials that", { from: "127.0.0.6", to: POD, port: 80 }],
    ["to its app over IPv6", { from: "::6", to: "fd00::5", port: 80 }],
    ["to loopback", { to: "127.0.0.1", port: 80 }],
    ["to its own HBONE port", { to: POD, port: 15_008 }],
  ])("%s is left alone", (_to, packet) => {
    expect(send({ uid: SIDECAR, ...packet })).toBe("left alone");
  });

  it.each([
    ["its own pod", { to: POD, port: 80 }],
    ["its own pod over IPv6", { to: "fd00::5", port: 80 }],
    ["its own port that nobody may reach", { to: POD, port: 15_001 }],
  ])("to a workload that is %s arrives there as from any other", (_to, packet) => {
    expect(send({ uid: SIDECAR, ...packet })).toBe("inbound");
  });
});
