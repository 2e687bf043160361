import type { CardeaError } from "../../src/core/errors.ts";
import type { Connection } from "../../src/core/ports.ts";

/** Everything that a connection delivered, and when. */
export interface Collected<C extends Connection = Connection> {
  readonly connection: C;
  readonly chunks: Buffer[];
  readonly bytes: number;
  text(): string;
  /** The peer has half-closed. */
  readonly ended: Promise<void>;
  /** The next time the write backlog is empty. */
  readonly drained: Promise<void>;
  readonly closed: Promise<void>;
  readonly error: CardeaError | undefined;
  readonly isEnded: boolean;
  readonly isClosed: boolean;
}

/** Takes a connection over and keeps what comes. */
export function collect<C extends Connection>(connection: C): Collected<C> {
  const chunks: Buffer[] = [];
  const ended = Promise.withResolvers<void>();
  const drained = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const state: { error: CardeaError | undefined; isEnded: boolean; isClosed: boolean } = {
    error: undefined,
    isEnded: false,
    isClosed: false,
  };
  connection.setHandlers({
    onData: (chunk) => void chunks.push(chunk),
    onEnd: () => {
      state.isEnded = true;
      ended.resolve();
    },
    onDrain: drained.resolve,
    onClose: (error) => {
      state.error = error;
      state.isClosed = true;
      closed.resolve();
      ended.resolve();
    },
  });
  return {
    connection,
    chunks,
    get bytes() {
      return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    },
    text: () => Buffer.concat(chunks).toString("latin1"),
    ended: ended.promise,
    drained: drained.promise,
    closed: closed.promise,
    get error() {
      return state.error;
    },
    get isEnded() {
      return state.isEnded;
    },
    get isClosed() {
      return state.isClosed;
    },
  };
}
