import { X509Certificate } from "node:crypto";
import { toCardeaError } from "../core/errors.ts";
import { type Certificate, parseCertificateFile } from "../pki/certificate.ts";
import { type PublicKeyFacts, readPublicKey } from "../pki/public-key.ts";
import { signerFault, svidIdOf } from "../pki/svid.ts";

/** One certificate as `cardea svid show` tells it; with --json one object a line. */
export interface SvidFacts {
  /** The file, or the sidecar's service. */
  readonly source: string;
  readonly role: "svid" | "authority";
  /** The URI name; null when there is none, or more than one. */
  readonly spiffeId: string | null;
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  /** Negative once it has ended. */
  readonly secondsLeft: number;
  readonly issuer: string;
  readonly key: string;
  /** Of the DER, as openssl and browsers show it, without colons. */
  readonly sha256: string;
  /** Why nobody should accept it, or null. Who signed it is not looked at here. */
  readonly problem: string | null;
}

/** DER → facts. Errors: `bad-input` when it is no certificate. */
export function readSvidFacts(source: string, der: Buffer, nowMs: number): SvidFacts {
  const certificate = parseCertificateFile(der);
  const library = new X509Certificate(der);
  const key = readKey(certificate);
  return {
    source,
    role: certificate.isCa ? "authority" : "svid",
    spiffeId: certificate.uris.length === 1 ? certificate.uris[0]! : null,
    serial: certificate.serial,
    notBefore: formatSecond(certificate.notBeforeMs),
    notAfter: formatSecond(certificate.notAfterMs),
    secondsLeft: Math.floor((certificate.notAfterMs - nowMs) / 1000),
    issuer: library.issuer.split("\n").join(", "),
    key: key.name,
    sha256: library.fingerprint256.replaceAll(":", "").toLowerCase(),
    problem: key.weakness ?? findProblem(certificate, nowMs),
  };
}

/** RFC 3339; certificates know whole seconds. */
function formatSecond(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(".000Z", "Z");
}

function readKey(certificate: Certificate): Pick<PublicKeyFacts, "name" | "weakness"> {
  try {
    return readPublicKey(certificate.publicKey);
  } catch (error) {
    return { name: "unknown", weakness: toCardeaError(error).message };
  }
}

function findProblem(certificate: Certificate, nowMs: number): string | null {
  if (nowMs < certificate.notBeforeMs) return "it is not valid yet";
  if (nowMs > certificate.notAfterMs) return "it has expired";
  return certificate.isCa ? signerFault(certificate, "root") : leafProblem(certificate);
}

function leafProblem(leaf: Certificate): string | null {
  try {
    svidIdOf(leaf);
    return null;
  } catch (error) {
    return toCardeaError(error).message;
  }
}
