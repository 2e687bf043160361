import { Agent, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { isListening } from "../../src/io/ports-probe.ts";
import { TCP_ASK } from "./backends/tcp.ts";
import { ASK_BYTES, frameMessage } from "./grpc-message.ts";
import { ALLOWED_PATH, DENIED_PATH, GRPC_UNARY_PATH } from "./rules.ts";
import type { RunningSide } from "./side.ts";

const RETRY_MS = 2;
const READY_TIMEOUT_MS = 20_000;
const ANSWER_TIMEOUT_MS = 2_000;

/** gRPC's PERMISSION_DENIED. */
const GRPC_DENIED = "grpc 7";
const GRPC_GOOD = "grpc 0";

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

/** Dials until a byte has come back through the pair. Errors: as `awaitFirstAnswer`. */
export async function awaitFirstByte(port: number, hasFailed: () => string | null): Promise<void> {
  await retryUntil(async () => ((await hasEcho(port)) ? null : "no byte came back"), hasFailed);
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

/**
 * Everything that a side says it carries comes through, and what its policy denies does not: a side that lets all
 * through would do less than the others. Errors: in a sentence.
 */
export async function assertCarries({ name, ports }: RunningSide): Promise<void> {
  if (ports.http !== null) {
    await awaitFirstAnswer(ports.http, () => null);
    const status = await statusOf(ports.http, DENIED_PATH);
    if (status !== 403) throw new Error(`${name} answers ${status} where its policy denies`);
  }
  const { grpc } = ports;
  if (grpc !== null) {
    await retryUntil(
      async () => {
        const said = await grpcStatusOf(grpc, GRPC_UNARY_PATH);
        return said === GRPC_GOOD ? null : `${name} answers a gRPC call with ${said}`;
      },
      () => null,
    );
    const said = await grpcStatusOf(grpc, DENIED_PATH);
    if (said !== GRPC_DENIED && said !== "403") throw new Error(`${name} answers ${said} where its policy denies gRPC`);
  }
  for (const port of [ports.tcp, ports.fresh]) if (port !== null) await awaitFirstByte(port, () => null);
}

/** The answer's status, on a connection of its own; 0 for none. */
function statusOf(port: number, path: string): Promise<number> {
  return new Promise((resolve) => {
    const options = { host: "127.0.0.1", port, path, agent: new Agent(), timeout: ANSWER_TIMEOUT_MS };
    const asked = request(options, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.once("timeout", () => asked.destroy());
    asked.once("error", () => resolve(0));
    asked.end();
  });
}

/** What one call is answered with: `grpc 0`, or the HTTP status where there is no other. */
function grpcStatusOf(port: number, path: string): Promise<string> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const settle = (said: string): void => {
      session.destroy();
      resolve(said);
    };
    session.once("error", () => settle("an error"));
    session.setTimeout(ANSWER_TIMEOUT_MS, () => settle("nothing"));
    const call = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    let said = "no status";
    const take = (fields: NodeJS.Dict<string | string[]>): void => {
      if (fields["grpc-status"] !== undefined) said = `grpc ${String(fields["grpc-status"])}`;
    };
    call.on("response", (fields) => {
      said = String(fields[":status"]);
      take(fields);
    });
    call.on("trailers", take);
    call.once("error", () => settle("an error"));
    call.once("close", () => settle(said));
    call.resume();
    call.end(frameMessage(Buffer.alloc(ASK_BYTES, 1)));
  });
}

/** Whether a byte that is sent comes back. */
function hasEcho(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const settle = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => settle(false));
    socket.once("error", () => settle(false));
    socket.once("close", () => resolve(false));
    socket.once("data", () => settle(true));
    socket.write(TCP_ASK.echo);
  });
}
