import { connect, type Socket } from "node:net";

export interface Pace {
  readonly port: number;
  readonly path: string;
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
}

interface Connection {
  readonly socket: Socket;
  dueMs: number;
  received: number;
  expected: number;
}

/** Requests beyond this many under way wait for a connection; their time runs. */
const CONNECTIONS_MAX = 64;

/**
 * Requests at a fixed rate, whatever the answers do: each has its moment, and its latency counts from that moment and
 * not from when the client got round to it. (A client that waits for one answer before it asks again leaves out what
 * it did not ask: coordinated omission.)
 */
export class PacedRequests {
  readonly #pace: Pace;
  readonly #request: string;
  readonly #beganMs: number;
  readonly #idle: Connection[] = [];
  /** Moments of requests that no connection was free for. */
  readonly #waiting: number[] = [];
  readonly #total: number;
  #asked = 0;
  #opened = 0;
  /** Connections that ended while a request was under way. */
  #lost = 0;
  readonly latenciesMs: number[] = [];
  /** Answered, but not with 200. */
  #refused = 0;

  constructor(pace: Pace, beganMs: number) {
    this.#pace = pace;
    this.#beganMs = beganMs;
    this.#total = Math.round(pace.rate * pace.seconds);
    this.#request = `GET ${pace.path} HTTP/1.1\r\nhost: 127.0.0.1:${pace.port}\r\n\r\n`;
  }

  /** Asks what has become due, each with its own moment. */
  askDue(nowMs: number): void {
    for (; this.#asked < this.#total; this.#asked++) {
      const dueMs = this.#beganMs + (this.#asked * 1_000) / this.#pace.rate;
      if (dueMs > nowMs) break;
      this.#ask(dueMs);
    }
  }

  isOver(): boolean {
    return this.#asked === this.#total && this.latenciesMs.length + this.#lost >= this.#total;
  }

  /** Refused, lost, and not answered by now. */
  failed(): number {
    return this.#refused + Math.max(0, this.#total - this.latenciesMs.length);
  }

  #ask(dueMs: number): void {
    const connection = this.#idle.pop() ?? (this.#opened < CONNECTIONS_MAX ? this.#open() : null);
    if (connection === null) this.#waiting.push(dueMs);
    else this.#send(connection, dueMs);
  }

  #send(connection: Connection, dueMs: number): void {
    connection.dueMs = dueMs;
    connection.socket.write(this.#request, "latin1");
  }

  #open(): Connection {
    this.#opened += 1;
    const socket = connect({ host: "127.0.0.1", port: this.#pace.port, noDelay: true });
    const connection: Connection = { socket, dueMs: 0, received: 0, expected: 0 };
    socket.on("data", (chunk: Buffer) => this.#receive(connection, chunk));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#opened -= 1;
      const place = this.#idle.indexOf(connection);
      if (place >= 0) this.#idle.splice(place, 1);
      else this.#lost += 1;
    });
    return connection;
  }

  /** An answer's head is taken to come in one piece: they are small, and a proxy writes them so. */
  #receive(connection: Connection, chunk: Buffer): void {
    if (connection.expected === 0) {
      const head = chunk.toString("latin1", 0, chunk.indexOf("\r\n\r\n"));
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN);
      if (!head.startsWith("HTTP/1.1 200") || Number.isNaN(length)) this.#refused += 1;
      connection.expected = head.length + 4 + (Number.isNaN(length) ? 0 : length);
    }
    connection.received += chunk.length;
    if (connection.received < connection.expected) return;
    this.latenciesMs.push(performance.now() - connection.dueMs);
    connection.received = 0;
    connection.expected = 0;
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(connection);
    else this.#send(connection, next);
  }
}
