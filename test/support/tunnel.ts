import { connect, type Socket } from "node:net";
import type { Address } from "../../src/core/ports.ts";

/** CONNECT through a forward proxy; resolves with the socket once it leads to the target. Rejects when it is refused. */
export function openTunnel(proxy: Address, target: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: proxy.host, port: proxy.port });
    let head = "";
    const onData = (piece: Buffer): void => {
      head += piece.toString("latin1");
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.off("data", onData).pause();
      if (!head.startsWith("HTTP/1.1 200")) {
        socket.destroy();
        reject(new Error(`CONNECT was answered ${head.split("\r\n")[0]}`));
        return;
      }
      const rest = Buffer.from(head.slice(end + 4), "latin1");
      if (rest.length > 0) socket.unshift(rest);
      resolve(socket);
    };
    socket.on("data", onData);
    socket.once("error", reject);
    socket.once("connect", () => socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`));
  });
}

/** Says something at the other end of a tunnel and gives the line that comes back; empty when nothing does. */
export async function askThroughTunnel(proxy: Address, target: string, line: string): Promise<string> {
  let socket: Socket;
  try {
    socket = await openTunnel(proxy, target);
  } catch {
    return "";
  }
  return new Promise((resolve) => {
    let answer = "";
    socket.on("data", (piece: Buffer) => {
      answer += piece.toString("latin1");
      if (answer.includes("\n")) socket.end();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(answer));
    socket.resume();
    socket.write(line);
  });
}
