import type { Socket } from "node:net";

/** The last byte of what is sent up; it comes nowhere else. Not every proxy passes on that one side has ended. */
export const UP_END = "E";

/** What the client's first byte asks for: nobody should have to guess who speaks first. */
export const TCP_ASK = { down: "d", up: "u", echo: "e" } as const;

const PIECE = Buffer.alloc(65_536, "x");

/** TCP by the first byte: sends without end; counts what comes and says how much at UP_END; or answers one byte. */
export function serveTcp(socket: Socket): void {
  socket.on("error", () => socket.destroy());
  socket.once("data", (first: Buffer) => {
    switch (first.toString("latin1", 0, 1)) {
      case TCP_ASK.down:
        return sendWithoutEnd(socket);
      case TCP_ASK.up:
        return countToEnd(socket, first);
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

function countToEnd(socket: Socket, first: Buffer): void {
  let bytes = 0;
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (chunk[chunk.length - 1] === END_BYTE) socket.write(`${bytes}\n`);
  };
  socket.on("data", count);
  count(first);
}

const END_BYTE = UP_END.charCodeAt(0);
