import type { Address, Clock, Connection, Network, TlsClientOptions } from "../../core/ports.ts";

/** What came back for bytes that were sent, whatever they were. */
export interface Exchange {
  readonly answer: string;
  /** Our end of the connection, by which its flow record is found. */
  readonly localPort: number;
}

export interface ExchangeOptions {
  readonly network: Network;
  readonly clock: Clock;
  /** Lays TLS over the connection first. */
  readonly tls?: Omit<TlsClientOptions, "handshakeTimeoutMs">;
  /** Sent in this order, each when an answer to the one before has begun. */
  readonly parts: readonly string[];
}

const CONNECT_TIMEOUT_MS = 2_000;
const ANSWER_TIMEOUT_MS = 3_000;
const ANSWER_BYTES_MAX = 65_536;

/**
 * Sends bytes as they are, which no HTTP library would let us, and gathers what comes back until the peer ends.
 * Errors: those of dialling. A failed handshake and a broken connection are an empty answer.
 */
export async function exchange(to: Address, options: ExchangeOptions): Promise<Exchange> {
  const raw = await options.network.dial(to, { timeoutMs: CONNECT_TIMEOUT_MS });
  const localPort = raw.local.port;
  const connection = await secure(raw, options);
  return { answer: connection === null ? "" : await converse(connection, options), localPort };
}

async function secure(raw: Connection, { network, tls }: ExchangeOptions): Promise<Connection | null> {
  if (tls === undefined) return raw;
  try {
    return await network.startTls(raw, { ...tls, handshakeTimeoutMs: CONNECT_TIMEOUT_MS });
  } catch {
    return null;
  }
}

function converse(connection: Connection, { clock, parts }: ExchangeOptions): Promise<string> {
  return new Promise((resolve) => {
    const waiting = [...parts];
    let answer = "";
    const timer = clock.setTimer(ANSWER_TIMEOUT_MS, () => connection.destroy());
    connection.setHandlers({
      onData(chunk) {
        answer += chunk.toString("latin1");
        if (answer.length > ANSWER_BYTES_MAX) connection.destroy();
        const next = waiting.shift();
        if (next !== undefined) connection.write(Buffer.from(next, "latin1"));
      },
      onEnd: () => connection.destroy(),
      onDrain: () => {},
      onClose() {
        timer.cancel();
        resolve(answer);
      },
    });
    connection.write(Buffer.from(waiting.shift() ?? "", "latin1"));
  });
}
