import { Agent, request } from "node:http";
import { isListening } from "../../src/io/ports-probe.ts";
import { ALLOWED_PATH, DENIED_PATH } from "./rules.ts";

const RETRY_MS = 5;
const READY_TIMEOUT_MS = 20_000;

/** Waits until somebody listens on a port. Errors: as `awaitFirstAnswer`. */
export async function awaitListening(port: number, hasFailed: () => string | null): Promise<void> {
  await retryUntil(async () => ((await isListening({ host: "127.0.0.1", port })) ? null : "nobody listens"), hasFailed);
}

/** Asks until a request has come through the pair with 200. Errors: after 20 s, or when `hasFailed` says why. */
export async function awaitFirstAnswer(port: number, hasFailed: () => string | null): Promise<void> {
  await retryUntil(async () => {
    const status = await statusOf(port, ALLOWED_PATH);
    return status === 200 ? null : `the last answer was ${status}`;
  }, hasFailed);
}

/** Tries until there is nothing left to complain about. */
async function retryUntil(attempt: () => Promise<string | null>, hasFailed: () => string | null): Promise<void> {
  const untilMs = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const complaint = await attempt();
    if (complaint === null) return;
    const failure = hasFailed();
    if (failure !== null) throw new Error(failure);
    if (performance.now() > untilMs) throw new Error(`not ready within ${READY_TIMEOUT_MS} ms: ${complaint}`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** A side that lets everything through would do less than the others. Errors: when it does. */
export async function assertEnforces(name: string, port: number): Promise<void> {
  const status = await statusOf(port, DENIED_PATH);
  if (status !== 403) throw new Error(`${name} answers ${status} where its policy denies`);
}

/** The answer's status, on a connection of its own; 0 for none. */
function statusOf(port: number, path: string): Promise<number> {
  return new Promise((resolve) => {
    const asked = request({ host: "127.0.0.1", port, path, agent: new Agent(), timeout: 2_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.once("timeout", () => asked.destroy());
    asked.once("error", () => resolve(0));
    asked.end();
  });
}
