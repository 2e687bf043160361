import type net from "node:net";
import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Address, Connection, ConnectionHandlers, SecureConnection, TlsFacts } from "../core/ports.ts";
import { gather, returnOnceWritten } from "./gathered-writes.ts";
import { SocketReader } from "./socket-reader.ts";

/** Whom the connection leads to; decides the code of its errors. */
export type ConnectionSide = "downstream" | "upstream";

interface SocketConnectionOptions {
  /** Under TLS, the TCP socket. */
  readonly transport?: net.Socket;
  /** Reads the socket, which was made with its `onread`. */
  readonly reads?: SocketReader | null;
  /** Whether a reader may be laid upon the socket as it is. */
  readonly sharesReads?: boolean;
  /** A socket of the file system, which knows no reset. */
  readonly isLocal?: boolean;
}

/**
 * A connection over a socket of the runtime, plain or TLS. What is written within one turn of the event loop leaves in
 * one write at the turn's end: fewer system calls and TLS records are most of a sidecar's cost.
 */
export class SocketConnection implements Connection {
  bytesReceived = 0;
  bytesSent = 0;
  readonly side: ConnectionSide;
  readonly #socket: net.Socket;
  /** Under TLS the TCP socket, without it the same as #socket. */
  readonly #transport: net.Socket;
  /** Null: the runtime hands out what it reads by "data". */
  #reads: SocketReader | null;
  readonly #sharesReads: boolean;
  readonly #isLocal: boolean;
  #handlers: ConnectionHandlers | null = null;
  #unsent: Buffer[] = [];
  #unsentBytes = 0;
  #state: "open" | "ending" | "ended" | "destroyed" | "closed" | "detached" = "open";
  #isFlushDue = false;
  #isBlocked = false;
  #isPaused = false;
  #error: CardeaError | undefined;
  #local: Address | null = null;
  #remote: Address | null = null;

  constructor(socket: net.Socket, side: ConnectionSide, options: SocketConnectionOptions = {}) {
    this.#socket = socket;
    this.#transport = options.transport ?? socket;
    this.#reads = options.reads ?? null;
    this.#sharesReads = options.sharesReads === true;
    this.#isLocal = options.isLocal === true;
    this.side = side;
    // Asked for at once: a socket that has closed no longer knows.
    this.#remote = { host: plainHost(socket.remoteAddress), port: socket.remotePort ?? 0 };
    socket.on("error", this.#onError).on("close", this.#onClose);
  }

  get local(): Address {
    this.#local ??= { host: plainHost(this.#socket.localAddress), port: this.#socket.localPort ?? 0 };
    return this.#local;
  }

  get unsentBytes(): number {
    return this.#unsentBytes + this.#socket.writableLength;
  }

  get remote(): Address {
    return this.#remote!;
  }

  /**
   * Of the TCP socket; null when it is closed. The runtime has no public way to it: this is the one place that looks
   * behind a socket, for what only the kernel can be asked (original-dst.ts).
   */
  get fileDescriptor(): number | null {
    const { _handle: handle } = this.#transport as net.Socket & { readonly _handle?: { readonly fd?: number } | null };
    const fd = handle?.fd ?? -1;
    return fd < 0 ? null : fd;
  }

  setHandlers(handlers: ConnectionHandlers): void {
    const isFirst = this.#handlers === null;
    this.#handlers = handlers;
    if (!isFirst) return;
    if (this.#state === "closed") {
      queueMicrotask(() => this.#handlers!.onClose(this.#error));
      return;
    }
    this.#socket.on("end", this.#onEnd).on("drain", this.#onDrain);
    if (this.#sharesReads) this.#reads ??= SocketReader.ofSocket(this.#socket);
    if (this.#reads === null) this.#socket.on("data", this.#onData);
    else {
      this.#reads.deliverTo(this.#onLent);
      // A socket that was paused before it had a reader goes on filling its Readable; now it stops.
      if (this.#isPaused) this.#socket.pause();
      queueMicrotask(this.#deliverEarly);
    }
  }

  write(chunk: Buffer): boolean {
    if (this.#state !== "open") return true;
    this.bytesSent += chunk.length;
    this.#unsent.push(chunk);
    this.#unsentBytes += chunk.length;
    this.#flushSoon();
    if (this.unsentBytes < LIMITS.writeBacklogBytesMax) return true;
    this.#isBlocked = true;
    return false;
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    this.#flushSoon();
  }

  destroy(options?: { reset?: boolean }): void {
    if (this.#state === "destroyed" || this.#state === "closed" || this.#state === "detached") return;
    this.#state = "destroyed";
    this.#unsent = [];
    this.#unsentBytes = 0;
    // Under TLS, too, it is the TCP connection that is reset: the peer must not take a cut stream for a finished one.
    // The TLS socket then closes by itself; to destroy it in the same turn crashes Node 26 (use after free).
    if (options?.reset === true && !this.#isLocal) this.#transport.resetAndDestroy();
    else this.#socket.destroy();
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#socket.resume();
    if (this.#reads !== null) queueMicrotask(this.#deliverEarly);
  }

  get sharesReads(): boolean {
    return this.#sharesReads;
  }

  /** Gives the socket away, for TLS to be laid over it. Nothing may have been written before. */
  detach(): net.Socket {
    this.#state = "detached";
    this.#socket.pause();
    if (this.#reads?.release() === false)
      throw new CardeaError("internal", "a connection that was dialled as plain gets no TLS");
    this.#socket.removeListener("data", this.#onData).removeListener("end", this.#onEnd);
    this.#socket.removeListener("drain", this.#onDrain).removeListener("close", this.#onClose);
    // The error listener stays: without one an error would end the process.
    return this.#socket;
  }

  /** Called at the end of the turn. */
  flush(): void {
    this.#isFlushDue = false;
    if (this.#state !== "open" && this.#state !== "ending") return;
    const isWritten = this.#unsentBytes === 0 || this.#writeUnsent();
    if (this.#state === "ending") {
      this.#state = "ended";
      this.#socket.end();
    }
    if (this.#isBlocked && isWritten) this.#unblock();
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    flushAtEndOfTurn(this);
  }

  /** False when the socket wants us to wait for "drain". */
  #writeUnsent(): boolean {
    const unsent = this.#unsent;
    this.#unsent = [];
    this.#unsentBytes = 0;
    const onWritten = returnOnceWritten(unsent);
    const parts = unsent.length === 1 ? unsent : gather(unsent);
    if (parts.length === 1) return this.#socket.write(parts[0]!, onWritten);
    this.#socket.cork();
    let isWritten = true;
    for (const [i, part] of parts.entries()) {
      isWritten = this.#socket.write(part, i === parts.length - 1 ? onWritten : undefined);
    }
    this.#socket.uncork();
    return isWritten;
  }

  #unblock(): void {
    this.#isBlocked = false;
    this.#handlers?.onDrain();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#state === "destroyed") return;
    this.bytesReceived += chunk.length;
    this.#handlers!.onData(chunk);
  };

  readonly #onLent = (lent: Buffer): void => {
    // Whoever does not say otherwise owns what it gets; most of it is a kilobyte.
    this.#onData(this.#handlers!.takesLent === true ? lent : Buffer.from(lent));
  };

  /** What came before there was anybody to take it, then what follows. */
  readonly #deliverEarly = (): void => {
    if (this.#isPaused || this.#state === "destroyed" || this.#state === "closed") return;
    const early = this.#reads!.takeEarly();
    if (early === null) return;
    this.#onData(early);
    if (!this.#isPaused) this.#socket.resume();
  };

  readonly #onEnd = (): void => {
    if (this.#state !== "destroyed") this.#handlers!.onEnd();
  };

  readonly #onDrain = (): void => {
    if (this.#isBlocked && this.#unsentBytes === 0 && this.#state !== "destroyed") this.#unblock();
  };

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    // What breaks after we have destroyed it ourselves is no news.
    if (this.#state === "destroyed") return;
    const code = this.side === "downstream" ? "downstream-reset" : "upstream-reset";
    this.#error ??= new CardeaError(code, `the connection broke: ${error.code ?? error.message}`, error);
  };

  readonly #onClose = (): void => {
    this.#state = "closed";
    this.#unsent = [];
    this.#handlers?.onClose(this.#error);
  };
}

interface SecureOptions {
  readonly side: ConnectionSide;
  readonly tls: TlsFacts;
  readonly sharesReads: boolean;
}

/** The same over TLS. */
export class SecureSocketConnection extends SocketConnection implements SecureConnection {
  readonly tls: TlsFacts;

  constructor(socket: net.Socket, transport: net.Socket, options: SecureOptions) {
    super(socket, options.side, { transport, sharesReads: options.sharesReads });
    this.tls = options.tls;
  }
}

let due: SocketConnection[] = [];

/** One setImmediate for all connections of a turn; nextTick was measured a third dearer. */
function flushAtEndOfTurn(connection: SocketConnection): void {
  if (due.push(connection) === 1) setImmediate(flushDue);
}

function flushDue(): void {
  const connections = due;
  due = [];
  for (const connection of connections) connection.flush();
}

/** An IPv4 peer on a dual-stack listener shows as `::ffff:10.0.0.1`; policies mean 10.0.0.1. */
function plainHost(address: string | undefined): string {
  if (address === undefined) return "0.0.0.0";
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
