import type { Socket } from "node:net";

/** What the client's first byte asks for: nobody should have to guess who speaks first. */
export const TCP_ASK = { down: "d", up: "u", echo: "e" } as const;

const PIECE = Buffer.alloc(65_536, "x");

/** TCP by the first byte: sends without end; counts what comes and says how much at the end; or answers one byte. */
export function serveTcp(socket: Socket): void {
  socket.on("error", () => socket.destroy());
  socket.once("data", (first: Buffer) => {
    switch (first.toString("latin1", 0, 1)) {
      case TCP_ASK.down:
        return sendWithoutEnd(socket);
      case TCP_ASK.up:
        return countToEnd(socket, first.length);
      default:
        socket.write(first.subarray(0, 1));
    }
  });
}

function sendWithoutEnd(socket: Socket): void {
  const send = (): void => {
    while (!socket.destroyed && socket.write(PIECE));
  };
  socket.on("drain", send);
  send();
}

/** The default of a server's socket is to end when the client does, so the count is written before that. */
function countToEnd(socket: Socket, firstBytes: number): void {
  let bytes = firstBytes;
  socket.on("data", (chunk: Buffer) => (bytes += chunk.length));
  socket.once("end", () => socket.end(String(bytes)));
}
