import { connect, type Socket } from "node:net";

// HTTP/1.1 connections that have asked once and then keep still until this process is ended. Words: port path count.
// Prints one JSON line when all have their answer, and it is 200.

const [port, count] = [Number(process.argv[2]), Number(process.argv[4])];
const path = process.argv[3]!;
/** As many are opened at a time as a listener's backlog holds with ease. */
const PARALLEL = 50;
const BODY_BYTES = 1_024;
let failed = 0;
let opened = 0;
const sockets: Socket[] = [];

/** Resolves with the answer's last octet, or the connection's end. */
function openOne(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    let answer = "";
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      failed += 1;
      resolve();
    });
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      const headEnd = answer.indexOf("\r\n\r\n");
      if (headEnd === -1 || answer.length < headEnd + 4 + BODY_BYTES) return;
      if (!answer.startsWith("HTTP/1.1 200")) failed += 1;
      resolve();
    });
    socket.write(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`, "latin1");
    sockets.push(socket);
  });
}

async function keepOpening(): Promise<void> {
  while (opened < count) {
    opened += 1;
    await openOne();
  }
}

const beganMs = performance.now();
await Promise.all(Array.from({ length: PARALLEL }, keepOpening));
const numbers = { requests: count, failed, durationUs: (performance.now() - beganMs) * 1_000 };
process.stdout.write(`${JSON.stringify(numbers)}\n`);
