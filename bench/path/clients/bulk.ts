import { connect, type Socket } from "node:net";
import { TCP_ASK, UP_END } from "../backends/tcp.ts";

// TCP as fast as it goes, for some seconds. Down: what came is counted here. Up: the backend counts and says how much at
// the end, since what a socket has taken has not arrived. Words: port direction connections seconds. One JSON line.

const [port, connections, seconds] = [2, 4, 5].map((i) => Number(process.argv[i])) as [number, number, number];
const isDown = process.argv[3] === "down";
const GRACE_MS = 5_000;
const PIECE = Buffer.alloc(65_536, "x");
let bytes = 0;
let failed = 0;
let isOver = false;

function open(): Socket {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => socket.destroy());
  if (isDown) read(socket);
  else write(socket);
  return socket;
}

function read(socket: Socket): void {
  socket.on("data", (chunk: Buffer) => (bytes += chunk.length));
  socket.on("close", () => (failed += isOver ? 0 : 1));
  socket.write(TCP_ASK.down);
}

function write(socket: Socket): void {
  let said = "";
  let hasEnded = false;
  const send = (): void => {
    if (hasEnded) return;
    hasEnded = isOver;
    if (isOver) socket.write(UP_END);
    else while (socket.write(PIECE));
  };
  socket.on("data", (chunk: Buffer) => {
    said += chunk.toString("latin1");
    if (said.endsWith("\n")) socket.destroy();
  });
  socket.on("close", () => {
    if (said.endsWith("\n")) bytes += Number(said);
    else failed += 1;
    left -= 1;
    if (left === 0) report();
  });
  socket.on("drain", send);
  socket.write(TCP_ASK.up);
  send();
}

function report(): void {
  const durationUs = (performance.now() - beganMs) * 1_000;
  process.stdout.write(`${JSON.stringify({ bytes, failed, durationUs })}\n`, () => process.exit(0));
}

const beganMs = performance.now();
let left = connections;
const sockets = Array.from({ length: connections }, open);
setTimeout(() => {
  isOver = true;
  if (isDown) {
    sockets.forEach((socket) => socket.destroy());
    report();
    return;
  }
  sockets.forEach((socket) => socket.emit("drain"));
  setTimeout(() => {
    failed += left;
    report();
  }, GRACE_MS).unref();
}, seconds * 1_000);
