import { connect, type Socket } from "node:net";

// Reads what a TCP backend sends without end, for some seconds. Words: port connections seconds. Prints one JSON line.

const [port, connections, seconds] = process.argv.slice(2).map(Number) as [number, number, number];
let bytes = 0;
let failed = 0;
let isOver = false;

function read(): Socket {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("data", (chunk: Buffer) => (bytes += chunk.length));
  socket.on("error", () => socket.destroy());
  socket.on("close", () => (failed += isOver ? 0 : 1));
  socket.write("go\n");
  return socket;
}

const beganMs = performance.now();
const sockets = Array.from({ length: connections }, read);
setTimeout(() => {
  isOver = true;
  const durationUs = (performance.now() - beganMs) * 1_000;
  sockets.forEach((socket) => socket.destroy());
  process.stdout.write(`${JSON.stringify({ bytes, failed, durationUs })}\n`);
}, seconds * 1_000);
