import { createHash } from "node:crypto";
import { join } from "node:path";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { atomicWrite } from "../../io/files.ts";
import type { StatePaths } from "../state-dir.ts";

/** 256 bits: nobody guesses one. */
const TOKEN_BYTES = 32;

/**
 * Mints a one-time join token and leaves it in a file that only its sidecar's user can read. The control plane keeps
 * its hash alone, and takes it once. Who can write the state directory can mint: that is local mode's attestation.
 */
export async function mintJoinToken(
  spiffeId: SpiffeId,
  tokenFile: string,
  paths: StatePaths,
  sources: { readonly clock: Clock; readonly random: Random },
): Promise<void> {
  const token = sources.random.bytes(TOKEN_BYTES).toString("base64url");
  const expiresAt = new Date(sources.clock.wallMs() + LIMITS.joinTokenTtlMs).toISOString();
  const hash = createHash("sha256").update(token).digest("hex");
  await atomicWrite(join(paths.join, `${hash}.json`), `${JSON.stringify({ spiffeId, expiresAt })}\n`, 0o600);
  await atomicWrite(tokenFile, `${token}\n`, 0o600);
}
