import { createPrivateKey } from "node:crypto";
import { type Issuer, createIssuer } from "../../pki/certificate-build.ts";
import { parseCertificate } from "../../pki/certificate.ts";
import { encodePrivateKey, parsePublicKey, publicKeyOf } from "../../pki/keys.ts";
import { encodePem, parsePem } from "../../pki/pem.ts";
import { isSignedBy } from "../../pki/signature.ts";

/** Clocks of the machines that will check a certificate may be behind by this much. */
export const BACKDATE_MS = 300_000;

/** Whether the certificate above signed this one. */
export function isIssuedBy(issuer: Issuer, above: Issuer): boolean {
  const key = parsePublicKey(above.certificate.publicKey);
  return key !== null && isSignedBy(issuer.certificate.signed, key);
}

/** Certificate and key as two PEM blocks of one file: neither can be there without the other. */
export function encodeIssuer(issuer: Issuer): string {
  return encodePem("CERTIFICATE", issuer.certificate.der) + encodePrivateKey(issuer.privateKey);
}

/** The reverse. Throws an Error that says what is wrong with the text; the caller knows whose it is. */
export function parseIssuer(text: string): Issuer {
  const [first, second, ...others] = parsePem(text);
  if (first?.label !== "CERTIFICATE" || second?.label !== "PRIVATE KEY" || others.length > 0)
    throw new Error("it does not hold one certificate and its key");
  const certificate = parseCertificate(first.der);
  const privateKey = createPrivateKey({ key: second.der, type: "pkcs8", format: "der" });
  if (!certificate.isCa) throw new Error("its certificate is not a CA's");
  if (!publicKeyOf(privateKey).equals(certificate.publicKey)) throw new Error("its key is not its certificate's");
  return createIssuer(certificate, privateKey);
}
