import { X509Certificate } from "node:crypto";
import { CardeaError } from "../../src/core/errors.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type {
  Address,
  Connection,
  ConnectionHandlers,
  DialOptions,
  Listening,
  Network,
  SecureConnection,
  TlsClientOptions,
  TlsContext,
  TlsFacts,
  TlsMaterial,
  TlsServerOptions,
} from "../../src/core/ports.ts";
import { clientHello } from "./client-hello.ts";

/** A network in memory: nothing moves until `settle`, and then in the order in which it was sent. */
export interface SimNetwork extends Network {
  /** Delivers everything that can be delivered, until nothing moves any more. */
  settle(): Promise<void>;
  /** Dials as somebody who is no part of the mesh. */
  open(to: Address): Promise<SimConnection>;
  /** Connections that are not closed, both ends counted. */
  readonly openCount: number;
  /** From now on nothing arrives at a port, nor comes back from it, over connections that are open: not even their end. */
  swallow(port: number): void;
}

/** Chance, for a network that cuts what is sent where it likes, and delivers it when it likes. */
export interface Disorder {
  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number;
}

type Step = () => void;

interface Listener {
  readonly address: Address;
  readonly accept: (connection: Connection) => void;
}

/** With `disorder`, what one side sends in one piece arrives in several, and connections overtake each other. */
export function createSimNetwork(disorder: Disorder | null = null): SimNetwork {
  return new MemoryNetwork(disorder);
}

class MemoryNetwork implements SimNetwork {
  readonly open_ = new Set<SimConnection>();
  readonly disorder: Disorder | null;
  readonly #listeners = new Map<number, Listener>();
  #steps: Step[] = [];
  #nextPort = 20_000;

  constructor(disorder: Disorder | null) {
    this.disorder = disorder;
  }

  swallow(port: number): void {
    for (const connection of this.open_) {
      if (connection.local.port === port || connection.remote.port === port) connection.isSwallowed = true;
    }
  }

  get openCount(): number {
    return this.open_.size;
  }

  later(step: Step): void {
    this.#steps.push(step);
  }

  async settle(): Promise<void> {
    // Promises and steps feed each other: only when a whole turn has brought neither is everything quiet.
    for (let quietTurns = 0; quietTurns < 3; quietTurns++) {
      await new Promise((resolve) => setImmediate(resolve));
      while (this.#steps.length > 0) {
        quietTurns = 0;
        const steps = this.#steps;
        this.#steps = [];
        for (const step of steps) this.#perform(step);
      }
    }
  }

  #perform(step: Step): void {
    if (this.disorder !== null && this.disorder.below(4) === 0) this.#steps.push(step);
    else step();
  }

  async listen(at: Address, onConnection: (connection: Connection) => void): Promise<Listening> {
    const port = at.port === 0 ? this.#nextPort++ : at.port;
    if (this.#listeners.has(port)) throw new CardeaError("unreachable", `cannot listen on ${port}: the port is taken`);
    const address = { host: at.host, port };
    this.#listeners.set(port, { address, accept: onConnection });
    return { address, close: async () => void this.#listeners.delete(port) };
  }

  async dial(to: Address, _options: DialOptions): Promise<Connection> {
    const listener = this.#listeners.get(to.port);
    if (listener === undefined) throw new CardeaError("upstream-connect-failed", `nobody listens on port ${to.port}`);
    const [near, far] = this.#connect({ host: "127.0.0.1", port: this.#nextPort++ }, listener.address);
    this.later(() => listener.accept(far));
    return near;
  }

  async open(to: Address): Promise<SimConnection> {
    return (await this.dial(to, { timeoutMs: 1_000 })) as SimConnection;
  }

  createTlsContext(material: TlsMaterial): TlsContext {
    return { tlsContext: material };
  }

  /** The "handshake" is one record each way: a ClientHello that carries the client's facts, and the server's answer. */
  async serveTls(connection: Connection, head: Buffer, options: TlsServerOptions): Promise<SecureConnection> {
    const sim = connection as SimConnection;
    const hello = sim.peer!.hello;
    if (hello === null || head[0] !== HANDSHAKE) throw new CardeaError("tls-handshake-failed", "no ClientHello");
    const alpn = hello.alpn.length === 0 ? null : options.chooseAlpn(hello.alpn);
    const isRefused = hello.alpn.length > 0 && alpn === null;
    const material = options.context.tlsContext as TlsMaterial;
    const answer = isRefused ? null : { alpn, sni: hello.sni, serverChain: chainOf(material) };
    this.later(() => hello.answer(answer));
    if (isRefused) {
      sim.destroy();
      throw new CardeaError("tls-handshake-failed", "no common protocol");
    }
    sim.secure(factsOf(alpn, hello.sni, hello.chain));
    return sim as SecureConnection;
  }

  startTls(connection: Connection, options: TlsClientOptions): Promise<SecureConnection> {
    const sim = connection as SimConnection;
    const material = options.context.tlsContext as TlsMaterial;
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => {
        reject(new CardeaError("tls-handshake-failed", why));
        sim.destroy();
      };
      sim.hello = {
        alpn: options.alpn,
        sni: options.sni,
        chain: chainOf(material),
        answer(agreed) {
          if (agreed === null) {
            fail("no common protocol");
            return;
          }
          sim.secure(factsOf(agreed.alpn, agreed.sni, agreed.serverChain));
          resolve(sim as SecureConnection);
        },
      };
      sim.onGone = () => fail("the peer hung up");
      sim.write(clientHello(options));
    });
  }

  #connect(near: Address, far: Address): [SimConnection, SimConnection] {
    const one = new SimConnection(this, "upstream", { local: near, remote: far });
    const other = new SimConnection(this, "downstream", { local: far, remote: near });
    one.peer = other;
    other.peer = one;
    this.open_.add(one).add(other);
    return [one, other];
  }
}

interface Hello {
  readonly alpn: readonly string[];
  readonly sni: string | null;
  readonly chain: readonly Buffer[];
  answer(agreed: { alpn: string | null; sni: string | null; serverChain: readonly Buffer[] } | null): void;
}

/** What a TLS handshake begins with. */
const HANDSHAKE = 0x16;

/** A reset comes behind what was sent before it: what the peer's kernel has got can still be read. */
type Delivery = Buffer | "end" | "reset";

/** One end of a connection in memory. */
export class SimConnection implements Connection {
  readonly local: Address;
  readonly remote: Address;
  tls: TlsFacts | null = null;
  hello: Hello | null = null;
  peer: SimConnection | null = null;
  onGone: (() => void) | null = null;
  bytesReceived = 0;
  bytesSent = 0;
  isPaused = false;
  isSwallowed = false;
  readonly #network: MemoryNetwork;
  readonly #side: "downstream" | "upstream";
  readonly #inbox: Delivery[] = [];
  #waitingBytes = 0;
  #handlers: ConnectionHandlers | null = null;
  #isBlocked = false;
  #hasEnded = false;
  #hasReceivedEnd = false;
  #isClosed = false;
  #error: CardeaError | undefined;

  constructor(network: MemoryNetwork, side: "downstream" | "upstream", ends: { local: Address; remote: Address }) {
    this.#network = network;
    this.#side = side;
    this.local = ends.local;
    this.remote = ends.remote;
  }

  /** Written by us, and not yet taken by the peer. */
  get unsentBytes(): number {
    return this.peer!.waitingBytes;
  }

  /** Of what has come, and has not been delivered yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  secure(tls: TlsFacts): void {
    this.tls = tls;
    this.onGone = null;
    this.#handlers = null;
    this.bytesReceived = 0;
    this.isPaused = false;
  }

  setHandlers(handlers: ConnectionHandlers): void {
    const wasClosed = this.#isClosed && this.#handlers === null;
    this.#handlers = handlers;
    this.#network.later(() => (wasClosed ? handlers.onClose(this.#error) : this.#deliver()));
  }

  write(chunk: Buffer): boolean {
    if (this.#isClosed || this.#hasEnded || chunk.length === 0) return true;
    this.bytesSent += chunk.length;
    this.peer!.#take(Buffer.from(chunk));
    this.#isBlocked = this.unsentBytes >= LIMITS.writeBacklogBytesMax;
    return !this.#isBlocked;
  }

  end(): void {
    if (this.#isClosed || this.#hasEnded) return;
    this.#hasEnded = true;
    this.peer!.#take("end");
    this.#closeIfOver();
  }

  destroy(options?: { reset?: boolean }): void {
    if (this.#isClosed) return;
    this.#close(undefined);
    const peer = this.peer!;
    if (peer.isSwallowed) return;
    if (options?.reset === true) {
      this.#network.later(() => peer.#close(new CardeaError(`${peer.#side}-reset`, "reset by the peer")));
    } else peer.#take(this.waitingBytes > 0 ? "reset" : "end");
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.#network.later(() => this.#deliver());
  }

  #take(item: Delivery): void {
    if (this.isSwallowed) return;
    if (this.#isClosed) {
      // As kernels answer what comes for nobody.
      if (typeof item !== "string" && this.#error === undefined) this.peer!.#take("reset");
      return;
    }
    this.#inbox.push(item);
    if (typeof item !== "string") this.#waitingBytes += item.length;
    // Behind the answer to a handshake.
    if (typeof item === "string") this.#network.later(() => this.onGone?.());
    this.#network.later(() => this.#deliver());
  }

  #deliver(): void {
    // As with real sockets, the end is told even to who is paused, once all that came before it has been.
    while (
      (!this.isPaused || typeof this.#inbox[0] === "string") &&
      this.#handlers !== null &&
      !this.#isClosed &&
      this.#inbox.length > 0
    ) {
      const item = this.#nextItem();
      if (item === "end") {
        this.#hasReceivedEnd = true;
        this.#handlers.onEnd();
        this.#closeIfOver();
      } else if (item === "reset") {
        this.#close(new CardeaError(`${this.#side}-reset`, "reset by the peer"));
      } else {
        this.#waitingBytes -= item.length;
        this.bytesReceived += item.length;
        deliverPiece(item, this.#handlers);
      }
    }
    const peer = this.peer!;
    if (peer.#isBlocked && this.#inbox.length === 0 && !peer.#isClosed) {
      peer.#isBlocked = false;
      peer.#handlers?.onDrain();
    }
  }

  /** What is to be delivered next; in a disorderly network perhaps only the beginning of what was sent. */
  #nextItem(): Delivery {
    const item = this.#inbox.shift()!;
    const { disorder } = this.#network;
    if (disorder === null || typeof item === "string" || item.length === 1) return item;
    // Only the handshake itself knows how to go on.
    if (item[0] === HANDSHAKE) return item;
    if (disorder.below(2) === 0) return item;
    const cut = 1 + disorder.below(item.length - 1);
    this.#inbox.unshift(item.subarray(cut));
    return item.subarray(0, cut);
  }

  #closeIfOver(): void {
    if (this.#hasEnded && this.#hasReceivedEnd) this.#close(undefined);
  }

  #close(error: CardeaError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#error = error;
    this.#network.open_.delete(this);
    this.onGone?.();
    this.#network.later(() => this.#handlers?.onClose(error));
  }
}

function factsOf(alpn: string | null, sni: string | null, peerChain: readonly Buffer[]): TlsFacts {
  return { alpn, sni, peerChain, version: "TLSv1.3", cipher: "SIM", group: "SIM" };
}

/** Read once each: it takes longer than all else that a handshake in memory does. */
const chains = new WeakMap<TlsMaterial, readonly Buffer[]>();

function chainOf(material: TlsMaterial): readonly Buffer[] {
  const known = chains.get(material);
  if (known !== undefined) return known;
  const chain = material.chainPem
    .split(/(?=-----BEGIN)/)
    .filter((pem) => pem.includes("BEGIN"))
    .map((pem) => new X509Certificate(pem).raw);
  chains.set(material, chain);
  return chain;
}

/** What is lent is other bytes a moment later, so that whoever keeps it shows. */
function deliverPiece(piece: Buffer, handlers: ConnectionHandlers): void {
  if (handlers.takesLent !== true) {
    handlers.onData(piece);
    return;
  }
  const lent = Buffer.from(piece);
  handlers.onData(lent);
  lent.fill(0xee);
}
