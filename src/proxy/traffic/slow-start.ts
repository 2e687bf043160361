import type { Random } from "../../core/ports.ts";
import type { Member } from "./member.ts";

/** Whether a member that came late gets this request: ever more likely as its window goes by, a tenth at first, as Envoy. */
export function isLetThrough(
  { sinceMs }: Member,
  windowMs: number,
  { random, nowMs }: { readonly random: Random; readonly nowMs: () => number },
): boolean {
  const share = (nowMs() - sinceMs) / windowMs;
  return share >= 1 || random.float() < Math.max(SHARE_MIN, share);
}

const SHARE_MIN = 0.1;
