import { toCardeaError } from "../../core/errors.ts";
import type { Address, Clock } from "../../core/ports.ts";
import { callHttp } from "../../io/http-client.ts";

/** What one round of the sample traffic came to. */
export interface Round {
  readonly answered: number;
  /** What went wrong, one line each; empty when all went well. */
  readonly failures: readonly string[];
}

const CALL_TIMEOUT_MS = 5_000;
const PAUSE_MS = 2_000;

/** A visitor of the shop: looks at the orders, buys something, looks again. web's own sidecar does the rest. */
export async function visitShop(web: Address): Promise<Round> {
  const visits = [
    { method: "GET", path: "/", wanted: 200 },
    { method: "POST", path: "/checkout", wanted: 201 },
    { method: "GET", path: "/", wanted: 200 },
  ];
  const failures: string[] = [];
  for (const { method, path, wanted } of visits) {
    const failure = await visit(web, method, path, wanted);
    if (failure !== null) failures.push(failure);
  }
  return { answered: visits.length - failures.length, failures };
}

async function visit(web: Address, method: string, path: string, wanted: number): Promise<string | null> {
  try {
    const { status, body } = await callHttp(web, { method, path, timeoutMs: CALL_TIMEOUT_MS });
    return status === wanted ? null : `${method} ${path} of web answered ${status}: ${body.trim().slice(0, 200)}`;
  } catch (error) {
    return toCardeaError(error).message;
  }
}

/** Visits the shop again and again, gently, until closed. */
export function keepVisiting(web: Address, clock: Clock, report: (line: string) => void): { close(): Promise<void> } {
  let isClosed = false;
  let visiting: Promise<void> = Promise.resolve();

  async function goOn(): Promise<void> {
    const { failures } = await visitShop(web);
    if (isClosed) return;
    for (const failure of failures) report(failure);
    clock.setTimer(PAUSE_MS, () => {
      if (!isClosed) visiting = goOn();
    });
  }

  visiting = goOn();
  return {
    async close() {
      isClosed = true;
      await visiting;
    },
  };
}
