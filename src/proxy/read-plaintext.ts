import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import { carriesRequests, type PortProtocol } from "../core/port-protocol.ts";
import type { Clock, Connection, ConnectionHandlers } from "../core/ports.ts";
import { type ClientHelloReading, ClientHelloReader } from "../wire/client-hello.ts";

/** A connection without TLS of the mesh's, paused, with what was read of it to tell so. */
export interface PlaintextBegun {
  readonly at: "plaintext";
  /** Null: nothing was read. */
  readonly early: Buffer | null;
  /** The server name in the app's own TLS, where that is what came. */
  readonly sni: string | null;
  /** The client has said nothing for as long as is waited: it is the server who begins. */
  readonly isSilent: boolean;
}

/** Which of the two a port that takes both has got. `head`: what was read of the handshake. */
export type Begun = PlaintextBegun | { readonly at: "mesh"; readonly head: Buffer };

interface ReadOptions {
  readonly mode: "PERMISSIVE" | "DISABLE";
  readonly protocol: PortProtocol;
  /** After so long without a byte a client is taken for one that waits for the server. */
  readonly silenceMs: number;
  readonly clock: Clock;
}

/**
 * Tells on a port that takes plaintext what a connection is. TLS of the mesh's is what offers a protocol that only
 * sidecars know (ALPN `istio…`); other TLS is the app's own, and passes. Where nothing but plaintext is taken nothing is
 * read. Errors: `request-timeout`, `downstream-reset`, `protocol-mismatch` for TLS of the app's where requests are declared.
 */
export async function readPlaintext(connection: Connection, options: ReadOptions): Promise<Begun> {
  if (options.mode === "DISABLE") return UNREAD;
  const begun = await readBeginning(connection, options);
  if (begun.at === "plaintext" && begun.isTls && carriesRequests(options.protocol))
    throw new CardeaError(
      "protocol-mismatch",
      "TLS came that offers no protocol of the mesh, and requests are declared",
    );
  return begun;
}

const UNREAD: PlaintextBegun = Object.freeze({ at: "plaintext", early: null, sni: null, isSilent: false });

type Seen = { readonly at: "mesh"; readonly head: Buffer } | (PlaintextBegun & { readonly isTls: boolean });

function readBeginning(connection: Connection, { protocol, silenceMs, clock }: ReadOptions): Promise<Seen> {
  const { promise, resolve, reject } = Promise.withResolvers<Seen>();
  const hello = new ClientHelloReader();
  let head: Buffer = EMPTY;
  // Where the client is known to begin, silence tells nothing; and a hello that has begun goes on until the usual end.
  const mayBeSilent = protocol === "AUTO" || protocol === "TCP";
  const onSilence = () => {
    if (head.length === 0) settle({ ...UNREAD, isSilent: true, isTls: false });
  };
  const silence = mayBeSilent ? clock.setTimer(silenceMs, onSilence) : null;
  const end = clock.setTimer(LIMITS.firstBytesTimeoutMs, () =>
    fail(new CardeaError("request-timeout", "nothing came, or too little")),
  );
  function stop(): void {
    silence?.cancel();
    end.cancel();
    connection.pause();
    connection.setHandlers(IGNORING);
  }
  function settle(seen: Seen): void {
    stop();
    resolve(seen);
  }
  function fail(error: CardeaError): void {
    stop();
    reject(error);
  }
  const gone = () => fail(new CardeaError("downstream-reset", "the caller went away before it had said anything"));
  connection.setHandlers({
    onData(chunk) {
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
      const reading: ClientHelloReading = head[0] === HANDSHAKE ? hello.feed(chunk) : NO_HELLO;
      if (reading.at !== "more") settle(seenIn(head, reading));
    },
    onEnd: gone,
    onDrain: () => {},
    onClose: gone,
  });
  return promise;
}

function seenIn(head: Buffer, reading: Exclude<ClientHelloReading, { at: "more" }>): Seen {
  if (reading.at === "refused") return { ...UNREAD, early: head, isTls: false };
  const { alpn, sni } = reading.hello;
  // Istio's own sidecars are known by the same.
  if (alpn.some((each) => each.startsWith("istio"))) return { at: "mesh", head };
  return { ...UNREAD, early: head, sni, isTls: true };
}

const NO_HELLO: ClientHelloReading = Object.freeze({ at: "refused", why: "no handshake record" });
const EMPTY = Buffer.alloc(0);
const HANDSHAKE = 0x16;

/** Between two stages, within one turn. */
const IGNORING: ConnectionHandlers = { onData: () => {}, onEnd: () => {}, onDrain: () => {}, onClose: () => {} };
