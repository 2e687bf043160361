import { describe, expect, it } from "vitest";
import { parseRedirectSettings, REDIRECT_OPTIONS } from "../../../../src/control/redirect/settings.ts";

const parse = (flags: Record<string, string> = {}, env: Record<string, string> = {}) =>
  parseRedirectSettings((name) => flags[name], env);

describe("redirect settings", () => {
  it("capture everything when nothing is said", () => {
    expect(parse()).toEqual({
      outboundPort: 15_001,
      inboundPort: 15_006,
      uid: 1_337,
      gid: null,
      inboundPorts: "all",
      excludedInboundPorts: [],
      outboundCidrs: "all",
      excludedOutboundCidrs: [],
      outboundPorts: [],
      excludedOutboundPorts: [],
    });
  });

  it("come from a flag, else from the environment", () => {
    const env = { CARDEA_REDIRECT_UID: "2000", CARDEA_REDIRECT_GID: "2000" };
    expect(parse({ uid: "3000" }, env)).toMatchObject({ uid: 3_000, gid: 2_000 });
  });

  it.each([
    ["uid", "0", "every app that runs as root", "with the sidecar as root, no app that runs as root would be captured"],
    ["uid", "-1", "no number", "expected a number"],
    ["uid", "4294967295", "the kernel's word for nobody", "expected a number up to 4294967294"],
    ["uid", "root", "a name", "expected a number"],
    ["gid", "x", "a name", "expected a number"],
    ["outbound-port", "0", "no port", "expected ports"],
    ["outbound-port", "1-2", "a range", "expected one port"],
    ["outbound-port", "", "nothing", "expected one port"],
    ["inbound-port", "15001", "the other one", "must be told apart"],
    ["inbound-ports", "80,x", "no port", "expected ports"],
    ["inbound-ports", "9-8", "a range the wrong way", "expected ports"],
    ["inbound-ports", "15000-16000", "our own ports", "port 15000 is the sidecar's own (admin)"],
    ["exclude-inbound-ports", "*", "all of them", "expected ports"],
    ["exclude-outbound-ports", "65536", "no port", "expected ports"],
    ["outbound-ports", "80;reboot", "a command", "expected ports"],
    ["outbound-cidrs", "10.0.0.0/33", "no range", "expected an IP address or CIDR"],
    ["outbound-cidrs", "::ffff:10.0.0.0/104", "a range that never matches", "write the IPv4 range"],
    ["exclude-outbound-cidrs", "10.0.0.0/8,", "an empty one", "expected an IP address or CIDR"],
    ["exclude-outbound-cidrs", "example.com", "a name", "expected an IP address or CIDR"],
  ])("--%s %s is refused: %s", (name, value, _what, message) => {
    expect(() => parse({ [name]: value })).toThrow(message);
    const { variable } = REDIRECT_OPTIONS.find((each) => each.name === name)!;
    expect(() => parse({}, { [variable]: value })).toThrow(message);
  });

  it("tells all faults at once, and where each was said", () => {
    expect(() => parse({ uid: "0" }, { CARDEA_REDIRECT_GID: "x" })).toThrow(/^--uid: .*\nCARDEA_REDIRECT_GID: /);
  });
});
