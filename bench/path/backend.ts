import { createServer, type Socket } from "node:net";

// What stands behind every side: an HTTP server that answers 1 KiB to whatever comes, and a TCP server that sends
// without end. No HTTP stack, so that it takes as little of the machine from the proxies as possible: it knows
// the heads that proxies send and counts bodies by content-length alone. Prints its two ports.

const BODY_BYTES = 1_024;
const BULK_BYTES = 65_536;
const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${BODY_BYTES}\r\n\r\n${"x".repeat(BODY_BYTES)}`,
  "latin1",
);
const HEAD_END = Buffer.from("\r\n\r\n", "latin1");

function serveHttp(socket: Socket): void {
  let held: Buffer | null = null;
  let bodyLeft = 0;
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    let rest = held === null ? chunk : Buffer.concat([held, chunk]);
    held = null;
    while (rest.length > 0) {
      if (bodyLeft > 0) {
        const taken = Math.min(bodyLeft, rest.length);
        bodyLeft -= taken;
        rest = rest.subarray(taken);
        if (bodyLeft === 0) socket.write(ANSWER);
        continue;
      }
      const end = rest.indexOf(HEAD_END);
      if (end === -1) {
        held = rest;
        return;
      }
      const length = /\r\ncontent-length: *(\d+)/i.exec(rest.toString("latin1", 0, end));
      bodyLeft = Number(length?.[1] ?? 0);
      rest = rest.subarray(end + HEAD_END.length);
      if (bodyLeft === 0) socket.write(ANSWER);
    }
  });
}

function serveBulk(socket: Socket): void {
  const piece = Buffer.alloc(BULK_BYTES, "x");
  const send = (): void => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on("error", () => socket.destroy());
  socket.on("drain", send);
  // It waits for the first byte: nobody should have to guess who speaks first.
  socket.once("data", send);
}

async function listen(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0, backlog: 1_024 }, resolve));
  return (server.address() as { port: number }).port;
}

process.stdout.write(`${JSON.stringify({ httpPort: await listen(serveHttp), tcpPort: await listen(serveBulk) })}\n`);
