import type { CardeaError } from "../../src/core/errors.ts";
import type { Connection } from "../../src/core/ports.ts";
import { NO_TLS } from "../../src/observe/flow.ts";
import { Http2ClientConnection } from "../../src/proxy/http2/client-connection.ts";
import { Http2ServerConnection } from "../../src/proxy/http2/server-connection.ts";
import { type Lifetime, UNLIMITED } from "../../src/proxy/lifetime.ts";
import { LiveConnections } from "../../src/proxy/live.ts";
import type { RequestHandler } from "../../src/proxy/streams.ts";
import { HpackDecoder } from "../../src/wire/hpack-decoder.ts";
import { FRAME } from "../../src/wire/http2-codes.ts";
import { type ReadFrame, type RawFrame, rawFrame, readFrames } from "./http2-frames.ts";
import { createSimClock, type SimClock } from "./sim-clock.ts";
import { createSimNetwork, type SimConnection, type SimNetwork } from "./sim-network.ts";

/** The bare end of a connection: sends what it likes and keeps what comes. */
export interface RawPeer {
  readonly connection: SimConnection;
  /** Sends, and lets everything settle. */
  send(...frames: (RawFrame | Buffer)[]): Promise<void>;
  /** Frames since the last call. */
  take(): ReadFrame[];
  /** The same, of one stream, as words: `HEADERS :status=200 END`, `DATA abc END`, `RST 8`. */
  takeStream(streamId: number): string[];
  readonly isEnded: boolean;
  readonly isClosed: boolean;
}

export interface Bench {
  readonly clock: SimClock;
  readonly network: SimNetwork;
  readonly live: LiveConnections;
}

export function createBench(): Bench {
  const clock = createSimClock(Date.UTC(2026, 10, 22));
  return { clock, network: createSimNetwork(), live: new LiveConnections(clock) };
}

/** Moves time on in steps of the tick, and lets everything settle at each. */
export async function pass({ clock, network }: Bench, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 500) {
    clock.advance(Math.min(left, 500));
    await network.settle();
  }
}

const AT = { host: "127.0.0.1", port: 8080 };

export interface ServedPeer extends RawPeer {
  /** What the server's connection itself was ended for. */
  readonly faults: CardeaError[];
  readonly server: Http2ServerConnection;
}

/** A raw client of one server connection. */
export async function serveRaw(bench: Bench, handler: RequestHandler, lifetime = UNLIMITED): Promise<ServedPeer> {
  const faults: CardeaError[] = [];
  const accepted = Promise.withResolvers<Http2ServerConnection>();
  const { clock, live, network } = bench;
  const onFault = (error: CardeaError): void => void faults.push(error);
  const listening = await network.listen(AT, (connection) => {
    accepted.resolve(new Http2ServerConnection(connection, { handler, live, clock, lifetime, onFault }));
  });
  const peer = rawPeer(bench, await network.open(AT));
  await network.settle();
  await listening.close();
  return Object.assign(peer, { faults, server: await accepted.promise });
}

export interface DialledPeer extends RawPeer {
  readonly client: Http2ClientConnection;
  /** Calls of the channel's owner. */
  readonly calls: string[];
}

/** A raw server of one client connection. */
export async function dialRaw(bench: Bench, lifetime: Lifetime = UNLIMITED, probesPeer = true): Promise<DialledPeer> {
  const accepted = Promise.withResolvers<Connection>();
  const listening = await bench.network.listen(AT, accepted.resolve);
  const calls: string[] = [];
  const client = openClient(bench, await bench.network.open(AT), { calls, lifetime, probesPeer });
  await bench.network.settle();
  const peer = rawPeer(bench, (await accepted.promise) as SimConnection);
  await bench.network.settle();
  await listening.close();
  return Object.assign(peer, { client, calls });
}

interface ClientParts {
  readonly calls?: string[];
  readonly lifetime?: Lifetime;
  readonly probesPeer?: boolean;
}

export function openClient(bench: Bench, connection: Connection, parts: ClientParts = {}): Http2ClientConnection {
  const { calls = [], lifetime = UNLIMITED, probesPeer = true } = parts;
  const { clock, live } = bench;
  const owner = {
    onFree: () => void calls.push("free"),
    onKnown: () => {},
    onGone: () => void calls.push("gone"),
  };
  return new Http2ClientConnection(connection, { owner, live, lifetime, tls: NO_TLS, clock, probesPeer });
}

function rawPeer(bench: Bench, connection: SimConnection): RawPeer {
  const state = { isEnded: false, isClosed: false };
  let received = Buffer.alloc(0);
  const decoder = new HpackDecoder({ tableBytesMax: 4_096, listBytesMax: 1_000_000, countMax: 10_000 });
  connection.setHandlers({
    onData(chunk) {
      received = Buffer.concat([received, chunk]);
    },
    onEnd() {
      state.isEnded = true;
    },
    onDrain: () => {},
    onClose() {
      state.isClosed = true;
    },
  });
  const takeWords = (): { frame: ReadFrame; word: string }[] => {
    const isClient = received.subarray(0, 3).equals(Buffer.from("PRI"));
    const frames = readFrames(isClient ? received.subarray(24) : received);
    received = Buffer.alloc(0);
    // Every block is decoded, wanted or not, to keep the table in step.
    return frames.map((frame) => ({ frame, word: wordOf(frame, decoder) }));
  };
  return {
    connection,
    async send(...frames) {
      for (const frame of frames) connection.write(Buffer.isBuffer(frame) ? frame : rawFrame(frame));
      await bench.network.settle();
    },
    take: () => takeWords().map(({ frame }) => frame),
    takeStream(streamId) {
      const words = takeWords().filter(({ frame }) => frame.streamId === streamId);
      return words.map(({ word }) => word);
    },
    get isEnded() {
      return state.isEnded;
    },
    get isClosed() {
      return state.isClosed;
    },
  };
}

function wordOf({ type, flags, payload }: ReadFrame, decoder: HpackDecoder): string {
  const end = (flags & 1) === 1 ? " END" : "";
  switch (type) {
    case FRAME.HEADERS: {
      const block = decoder.decode(payload);
      if (block.at !== "fields") throw new Error(JSON.stringify(block));
      const fields = block.fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}=${block.fields[i + 1]}`] : []));
      return `HEADERS ${fields.join(" ")}${end}`;
    }
    case FRAME.DATA:
      return `DATA ${payload.length > 40 ? payload.length : payload.toString("latin1")}${end}`;
    case FRAME.RST_STREAM:
      return `RST ${payload.readUInt32BE(0)}`;
    case FRAME.WINDOW_UPDATE:
      return `WINDOW ${payload.readUInt32BE(0)}`;
    default:
      return `FRAME ${type}`;
  }
}

/** The code of the GOAWAY among the frames, or null. */
export function goawayOf(frames: readonly ReadFrame[]): number | null {
  const frame = frames.findLast(({ type }) => type === FRAME.GOAWAY);
  return frame === undefined ? null : frame.payload.readUInt32BE(4);
}
