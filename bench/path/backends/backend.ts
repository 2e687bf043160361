import { createServer, type Socket } from "node:net";
import { serveGrpc } from "./grpc.ts";
import { serveHttp } from "./http.ts";
import { serveTcp } from "./tcp.ts";

// What stands behind every side, one process for all. No HTTP stack, so that it takes as little of the machine from the
// proxies as possible. Prints its ports as one JSON line.

async function listen(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0, backlog: 1_024 }, resolve));
  return (server.address() as { port: number }).port;
}

const ports = { httpPort: await listen(serveHttp), grpcPort: await listen(serveGrpc), tcpPort: await listen(serveTcp) };
process.stdout.write(`${JSON.stringify(ports)}\n`);
