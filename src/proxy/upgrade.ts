import { CardeaError } from "../core/errors.ts";
import type { RequestHead } from "../wire/http1-head.ts";

/**
 * The protocol that a request may switch to, or null for a plain request. `h2c` is ignored, as RFC 9110 section 7.8
 * lets a server do (curl offers it unasked). Errors: `upgrade-not-allowed`, `bad-request` for an upgrade with a body,
 * whose end some servers do not wait for.
 */
export function allowedUpgradeOf(head: RequestHead): string | null {
  if (!asksForUpgrade(head)) return null;
  const { upgrade } = head;
  if (upgrade !== "websocket") throw new CardeaError("upgrade-not-allowed", `no upgrade to ${upgrade}`);
  if (head.framing.kind !== "none") throw new CardeaError("bad-request", "an upgrade has a body");
  return upgrade;
}

/** Whether a request asks for another protocol, allowed or not. */
export function asksForUpgrade({ upgrade }: RequestHead): boolean {
  return upgrade !== null && upgrade !== "h2c";
}
