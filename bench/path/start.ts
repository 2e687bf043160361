import { awaitFirstAnswer, awaitFirstByte, awaitListening } from "./first-answer.ts";
import type { Measured } from "./metrics.ts";
import { readAgeMs } from "./process-times.ts";
import type { RunningSide } from "./side.ts";

const never = (): null => null;

/**
 * Ends the caller's sidecar, has it started again, and takes the time from its exec to the first accepted connection
 * and to the first answer through the pair. In steps of 10 ms, as /proc counts.
 */
export async function measureStart(side: RunningSide): Promise<Measured> {
  const pid = await side.restartCaller();
  const { http, tcp } = side.ports;
  const port = (http ?? tcp)!;
  await awaitListening(port, never);
  const listeningMs = readAgeMs([pid]);
  if (http === null) await awaitFirstByte(port, never);
  else await awaitFirstAnswer(port, never);
  return { listeningMs, readyMs: readAgeMs([pid]) };
}
