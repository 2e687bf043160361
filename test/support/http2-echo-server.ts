import type { CardeaError } from "../../src/core/errors.ts";
import type { Address } from "../../src/core/ports.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { Http2ServerConnection } from "../../src/proxy/http2/server-connection.ts";
import { UNLIMITED } from "../../src/proxy/lifetime.ts";
import { LiveConnections } from "../../src/proxy/live.ts";
import { createEchoHandler, type EchoHandler } from "./echo-handler.ts";

export interface EchoServer {
  readonly address: Address;
  readonly handler: EchoHandler;
  readonly live: LiveConnections;
  /** Of connections that broke a rule. */
  readonly faults: CardeaError[];
  close(): Promise<void>;
}

/** HTTP/2 with prior knowledge on a plain loopback port, over real sockets. */
export async function openEchoServer(port = 0): Promise<EchoServer> {
  const live = new LiveConnections(systemClock);
  const handler = createEchoHandler();
  const faults: CardeaError[] = [];
  const onFault = (error: CardeaError): void => void faults.push(error);
  const listening = await createSocketNetwork().listen({ host: "127.0.0.1", port }, (connection) => {
    void new Http2ServerConnection(connection, { handler, live, clock: systemClock, lifetime: UNLIMITED, onFault });
  });
  return { address: listening.address, handler, live, faults, close: () => listening.close() };
}
