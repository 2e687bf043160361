import { X509Certificate } from "node:crypto";
import { readText } from "../../io/files.ts";

/** SHA-256 of the mesh's root certificate, hexadecimal. Errors: `bad-input`. */
export async function readRootFingerprint(rootFile: string): Promise<string> {
  return new X509Certificate(await readText(rootFile)).fingerprint256.replaceAll(":", "").toLowerCase();
}
