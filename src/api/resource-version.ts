import { createHash } from "node:crypto";

/**
 * The version of a resource: the SHA-256 of its encoded bytes, in hex. A receiver computes it for itself, so a policy
 * set's hashes are a check of what has arrived and not a repetition of what was claimed.
 */
export function versionOf(encoded: Buffer): string {
  return createHash("sha256").update(encoded).digest("hex");
}
