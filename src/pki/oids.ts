/** Object identifiers by the names that their standards give them. */
export const OID = {
  // RFC 5280 section 4.2
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extKeyUsage: "2.5.29.37",
  anyExtendedKeyUsage: "2.5.29.37.0",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  // RFC 5280 appendix A
  organizationName: "2.5.4.10",
  commonName: "2.5.4.3",
  // RFC 2985 section 5.4.2
  extensionRequest: "1.2.840.113549.1.9.14",
  // RFC 5480
  ecPublicKey: "1.2.840.10045.2.1",
  // RFC 5758 section 3.2
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  ecdsaWithSha384: "1.2.840.10045.4.3.3",
  ecdsaWithSha512: "1.2.840.10045.4.3.4",
  // RFC 8017 appendix C
  rsaEncryption: "1.2.840.113549.1.1.1",
  rsaWithSha256: "1.2.840.113549.1.1.11",
  rsaWithSha384: "1.2.840.113549.1.1.12",
  rsaWithSha512: "1.2.840.113549.1.1.13",
  // RFC 8410
  ed25519: "1.3.101.112",
} as const;
