import { BlockList } from "node:net";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cidrHolds, parseCidr, parseIp } from "../../../src/core/cidr.ts";

describe("an address is in a range", () => {
  test.each([
    ["10.0.0.0/8", "10.255.255.255"],
    ["10.1.2.3/8", "10.9.9.9"],
    ["203.0.113.4", "203.0.113.4"],
    ["0.0.0.0/0", "255.255.255.255"],
    ["203.0.113.4/31", "203.0.113.5"],
    ["2001:db8::/32", "2001:db8:ffff::1"],
    ["::/0", "fe80::1"],
    ["::1", "0:0:0:0:0:0:0:1"],
    ["10.0.0.0/8", "::ffff:10.1.2.3"],
    ["64:ff9b::/96", "64:ff9b::192.0.2.33"],
  ])("%s holds %s", (cidr, ip) => {
    expect(cidrHolds(parseCidr(cidr), parseIp(ip))).toBe(true);
  });
});

describe("an address is not in a range", () => {
  test.each([
    ["10.0.0.0/8", "11.0.0.0"],
    ["203.0.113.4", "203.0.113.5"],
    ["203.0.113.4/31", "203.0.113.6"],
    ["2001:db8::/32", "2001:db9::"],
    // IPv4 peers that arrive on an IPv6 socket are IPv4 peers.
    ["::/0", "::ffff:10.0.0.1"],
    ["0.0.0.0/0", "::1"],
    ["::/0", "10.0.0.1"],
  ])("%s does not hold %s", (cidr, ip) => {
    expect(cidrHolds(parseCidr(cidr), parseIp(ip))).toBe(false);
  });

  test.each([
    "",
    "localhost",
    "10.0.0.1:80",
    "[::1]",
    "fe80::1%eth0",
    "10.0.0.01",
    "10.0.0",
    "1.2.3.4.5",
    "0x0a.0.0.1",
  ])("%j is no address, and so in no range", (text) => {
    expect(parseIp(text)).toBeNull();
    expect(cidrHolds(parseCidr("0.0.0.0/0"), parseIp(text))).toBe(false);
  });
});

test.each([
  "10.0.0.0/33",
  "10.0.0.0/",
  "10.0.0.0/-1",
  "10.0.0.0/08",
  "10.0.0.0/8/8",
  "10.0.0/8",
  "256.0.0.1",
  "10.0.0.1 ",
  "::1/129",
  ":::/8",
  "1:2:3:4:5:6:7:8:9",
  "1:2:3:4:5:6:7::8:9",
  "12345::/16",
  "fe80::1%eth0/64",
  "1.2.3.4::",
  "*",
])("%j is refused as a range", (text) => {
  expect(() => parseCidr(text)).toThrow(/expected an IP address or CIDR range/);
});

test.each(["::ffff:10.0.0.0/104", "::ffff:0:0/96", "::ffff:10.0.0.1"])(
  "%s would never match anybody, so it is refused",
  (text) => {
    expect(() => parseCidr(text)).toThrow(/write the IPv4 range/);
  },
);

test("ranges hold what Node's BlockList holds", () => {
  compareWithBlockList("ipv4", fc.ipV4(), 32);
  compareWithBlockList("ipv6", fc.ipV6(), 128);
});

function compareWithBlockList(family: "ipv4" | "ipv6", address: fc.Arbitrary<string>, width: number): void {
  const isOfFamily = (ip: string): boolean => parseIp(ip)?.family === (family === "ipv4" ? 4 : 6);
  fc.assert(
    fc.property(address, address, fc.integer({ min: 0, max: width }), (network, ip, length) => {
      // Mapped addresses are ours to treat, see above.
      fc.pre(isOfFamily(network) && isOfFamily(ip));
      const list = new BlockList();
      list.addSubnet(network, length, family);
      expect(cidrHolds(parseCidr(`${network}/${length}`), parseIp(ip))).toBe(list.check(ip, family));
    }),
  );
}
