import { isIP } from "node:net";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Authority,
  formatAuthority,
  isAuthority,
  isIpv4,
  isIpv6,
  parseAuthority,
} from "../../../src/wire/authority.ts";

describe("an authority is parsed", () => {
  test.each<[string, Authority]>([
    ["orders", { host: "orders", port: null }],
    ["Orders.Shop.svc.cluster.LOCAL:8080", { host: "orders.shop.svc.cluster.local", port: 8080 }],
    ["orders.", { host: "orders.", port: null }],
    ["a_b~c-d", { host: "a_b~c-d", port: null }],
    ["10.0.0.1:1", { host: "10.0.0.1", port: 1 }],
    ["a:65535", { host: "a", port: 65_535 }],
    ["[::1]", { host: "::1", port: null }],
    ["[FE80::1:2]:80", { host: "fe80::1:2", port: 80 }],
    ["[::ffff:10.0.0.1]:80", { host: "::ffff:10.0.0.1", port: 80 }],
  ])("%s", (text, expected) => {
    expect(isAuthority(text)).toBe(true);
    expect(parseAuthority(text)).toEqual(expected);
  });

  test("and written again", () => {
    expect(formatAuthority("orders", 80)).toBe("orders:80");
    expect(formatAuthority("::1", 80)).toBe("[::1]:80");
  });
});

describe("an authority that can be read in two ways is refused", () => {
  test.each([
    "",
    ":80",
    ".",
    ".a",
    "a..b",
    "a..",
    "a:",
    "a:0",
    "a:080",
    "a:65536",
    "a:123456",
    "a:8o",
    "a:-1",
    "a:80:80",
    "a b",
    " a",
    "a,b",
    "a/b",
    "a?b",
    "a#b",
    "a\\b",
    "u@a",
    "u:p@a",
    "a%2eb",
    "a%00",
    "a;b",
    "a=b",
    "(a)",
    "\xe9",
    "\u0161",
    "a\0",
    "::1",
    "::1:80",
    "[::1",
    "[::1]80",
    "[::1]:",
    "[]",
    "[a]",
    "[10.0.0.1]",
    "[::1%25eth0]",
    "[v1.a]",
    "[::1]]",
    "a[::1]",
    "a".repeat(255),
  ])("%j", (text) => {
    expect(isAuthority(text)).toBe(false);
    expect(() => parseAuthority(text)).toThrowError(expect.objectContaining({ code: "bad-request" }));
  });
});

describe("IP literals are what Node takes for them", () => {
  const group = fc.oneof(
    fc.constantFrom("", "0", "ffff", "1", "abcd", "12345", "g"),
    fc.constantFrom("1.2.3.4", "1.2.3"),
  );
  test("IPv6", () => {
    fc.assert(
      fc.property(fc.array(group, { minLength: 1, maxLength: 10 }), (groups) => {
        const text = groups.join(":");
        expect([text, isIpv6(text)]).toEqual([text, isIP(text) === 6]);
      }),
      { numRuns: 5_000 },
    );
  });

  test("IPv4", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("0", "1", "255", "256", "01", "", "a"), { maxLength: 5 }), (parts) => {
        const text = parts.join(".");
        expect([text, isIpv4(text)]).toEqual([text, isIP(text) === 4]);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each(["::", "::1", "1::", "1:2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4"])(
    "%s is",
    (text) => {
      expect(isIpv6(text)).toBe(true);
    },
  );

  test.each([
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "::1.2.3.4:1",
    "1.2.3.4::",
  ])("%s is not", (text) => {
    expect(isIpv6(text)).toBe(false);
  });
});
