import type { Socket } from "node:net";
import { LARGE_PATH } from "../rules.ts";

const SMALL = answerOf(1_024);
const LARGE = answerOf(1_048_576);
const HEAD_END = Buffer.from("\r\n\r\n", "latin1");

/**
 * HTTP/1.1 that answers 1 KiB to whatever comes, and 1 MiB to LARGE_PATH. It knows the heads that proxies send, and
 * counts bodies by content-length alone.
 */
export function serveHttp(socket: Socket): void {
  let held: Buffer | null = null;
  let bodyLeft = 0;
  let answer = SMALL;
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
        if (bodyLeft === 0) socket.write(answer);
        continue;
      }
      const end = rest.indexOf(HEAD_END);
      if (end === -1) {
        held = rest;
        return;
      }
      const head = rest.toString("latin1", 0, end);
      answer = head.startsWith(`GET ${LARGE_PATH} `) ? LARGE : SMALL;
      bodyLeft = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      rest = rest.subarray(end + HEAD_END.length);
      if (bodyLeft === 0) socket.write(answer);
    }
  });
}

function answerOf(bodyBytes: number): Buffer {
  const head = `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${bodyBytes}\r\n\r\n`;
  return Buffer.from(`${head}${"x".repeat(bodyBytes)}`, "latin1");
}
