import { describe, expect, it } from "vitest";
import { encodePem, parseCertificatesPem, parsePem } from "../../../src/pki/pem.ts";

const DER = Buffer.from("30030201ff", "hex");
const GOOD = encodePem("CERTIFICATE", DER);

describe("parsePem refuses", () => {
  it.each([
    ["an empty text", ""],
    ["a text without a block", "hello"],
    ["a block without an end", "-----BEGIN CERTIFICATE-----\nAAAA\n"],
    [
      "a block that begins inside another",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
    ["a block that ends as something else", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n"],
    ["a first line without its dashes", "-----BEGIN CERTIFICATE\nAAAA\n-----END CERTIFICATE-----\n"],
    ["characters that are not base64", "-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----\n"],
    ["base64 that is cut off", "-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----\n"],
    ["an empty block", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"],
    ["a good block before a broken one", `${GOOD}-----BEGIN CERTIFICATE-----\n`],
  ])("%s", (_what, text) => {
    expect(() => parsePem(text)).toThrow(expect.objectContaining({ code: "bad-input" }));
  });

  it("a private key where certificates belong", () => {
    const text = GOOD + encodePem("PRIVATE KEY", DER);
    expect(() => parseCertificatesPem(text)).toThrow(/a PRIVATE KEY, not a CERTIFICATE/);
  });

  it("a megabyte of beginnings in no time", () => {
    expect(() => parsePem("-----BEGIN A-----\n".repeat(60_000))).toThrow(/no end/);
  });
});

describe("parsePem reads", () => {
  it("several blocks, with explanations between them and other line ends", () => {
    const text = `# the root\n${GOOD.replaceAll("\n", "\r\n")}\nsubject=CN = x\n${GOOD}`;
    expect(parsePem(text)).toEqual([
      { label: "CERTIFICATE", der: DER },
      { label: "CERTIFICATE", der: DER },
    ]);
  });
});
