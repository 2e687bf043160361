/**
 * Whether a trace is among so many in a hundred, by its id alone: whoever has the id comes to the same answer. As
 * OpenTelemetry's probability sampling: the last 56 bits, which are chance, against a threshold; 52 of them here, which a
 * number holds exactly. W3C Trace Context level 2, section 3.2.2.3.
 */
export function isWithinRatio(traceId: string, percentage: number): boolean {
  if (percentage >= 100) return true;
  if (percentage <= 0) return false;
  const chance = Number.parseInt(traceId.slice(18, 31), 16);
  return chance >= (1 - percentage / 100) * CHANCES;
}

const CHANCES = 2 ** 52;
