import { connect, type Socket } from "node:net";
import { percentileOf } from "./statistics.ts";

// Requests at a fixed rate, whatever the answers do: each has its moment, and its latency counts from that moment and
// not from when the client got round to it. (A client that waits for one answer before it asks again leaves out what
// it did not ask: coordinated omission.) Words: port path rate seconds. Prints one JSON line.

const CONNECTIONS_MAX = 64;
const GRACE_MS = 2_000;
const [port, path, rate, seconds] = [
  Number(process.argv[2]),
  process.argv[3]!,
  Number(process.argv[4]),
  Number(process.argv[5]),
];
const REQUEST = `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n\r\n`;
const total = Math.round(rate * seconds);
const latenciesMs: number[] = [];
const idle: Connection[] = [];
/** Moments of requests that no connection was free for. */
const waiting: number[] = [];
let opened = 0;
/** Answered, but not with 200. */
let refused = 0;
/** Connections that ended while a request was under way. */
let lost = 0;

interface Connection {
  readonly socket: Socket;
  dueMs: number;
  received: number;
  expected: number;
}

function openConnection(): Connection {
  opened += 1;
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  const connection: Connection = { socket, dueMs: 0, received: 0, expected: 0 };
  socket.on("data", (chunk: Buffer) => receive(connection, chunk));
  socket.on("error", () => socket.destroy());
  socket.on("close", () => {
    opened -= 1;
    const place = idle.indexOf(connection);
    if (place >= 0) idle.splice(place, 1);
    else lost += 1;
  });
  return connection;
}

/** An answer's head is taken to come in one piece: they are small, and a proxy writes them so. */
function receive(connection: Connection, chunk: Buffer): void {
  if (connection.expected === 0) {
    const head = chunk.toString("latin1", 0, chunk.indexOf("\r\n\r\n"));
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
    if (!head.startsWith("HTTP/1.1 200") || Number.isNaN(length)) refused += 1;
    connection.expected = head.length + 4 + (Number.isNaN(length) ? 0 : length);
  }
  connection.received += chunk.length;
  if (connection.received < connection.expected) return;
  latenciesMs.push(performance.now() - connection.dueMs);
  connection.received = 0;
  connection.expected = 0;
  const next = waiting.shift();
  if (next === undefined) idle.push(connection);
  else send(connection, next);
}

function send(connection: Connection, dueMs: number): void {
  connection.dueMs = dueMs;
  connection.socket.write(REQUEST, "latin1");
}

function ask(dueMs: number): void {
  const connection = idle.pop() ?? (opened < CONNECTIONS_MAX ? openConnection() : null);
  if (connection === null) waiting.push(dueMs);
  else send(connection, dueMs);
}

const beganMs = performance.now();
let asked = 0;
const timer = setInterval(() => {
  const nowMs = performance.now();
  // The timer ticks once a millisecond; what became due since is asked at once, with its own moment.
  for (; asked < total; asked++) {
    const dueMs = beganMs + (asked * 1_000) / rate;
    if (dueMs > nowMs) break;
    ask(dueMs);
  }
  const isOver = asked === total && latenciesMs.length + lost >= total;
  if (!isOver && nowMs < beganMs + seconds * 1_000 + GRACE_MS) return;
  clearInterval(timer);
  const numbers = {
    requests: latenciesMs.length,
    failed: refused + Math.max(0, total - latenciesMs.length),
    durationUs: (nowMs - beganMs) * 1_000,
    p50Us: percentileOf(latenciesMs, 0.5) * 1_000,
    p99Us: percentileOf(latenciesMs, 0.99) * 1_000,
  };
  process.stdout.write(`${JSON.stringify(numbers)}\n`, () => process.exit(0));
}, 1);
