import { LIMITS } from "../core/limits.ts";

/** What a TLS client says in the clear before anything else. RFC 8446 section 4.1.2. */
export interface ClientHello {
  /** server_name in lower case (RFC 6066 section 3), or null. With ECH it is the public name of the outer hello. */
  readonly sni: string | null;
  /** The protocols that are offered, the dearest first. RFC 7301 section 3.1. */
  readonly alpn: readonly string[];
  /** The real hello is encrypted within this one (RFC 9849): `sni` does not tell where it goes. */
  readonly isOuter: boolean;
}

/** `more`: it goes on well, and is not whole. `refused`: what came is no ClientHello, or not a well-formed one. */
export type ClientHelloReading =
  | { readonly at: "more" }
  | { readonly at: "hello"; readonly hello: ClientHello }
  | { readonly at: "refused"; readonly why: string };

/**
 * Reads a ClientHello from the bytes of a connection as they come: a handshake message may be spread over several
 * records, and a record over several segments (one with ML-KEM is). It changes nothing and keeps no octet longer than
 * the verdict takes; memory is bounded by LIMITS.clientHelloBytesMax.
 */
export class ClientHelloReader {
  readonly #header = Buffer.alloc(RECORD_HEADER_BYTES);
  #headerBytes = 0;
  /** Of the record that has begun. */
  #recordBytesLeft = 0;
  #message = Buffer.alloc(FIRST_BYTES);
  #messageBytes = 0;

  /** To be called until it answers something other than `more`. */
  feed(chunk: Buffer): ClientHelloReading {
    let at = 0;
    while (at < chunk.length) {
      if (this.#recordBytesLeft === 0) {
        this.#header[this.#headerBytes++] = chunk[at++]!;
        const why = this.#checkHeader();
        if (why !== null) return refused(why);
        continue;
      }
      const bytes = Math.min(this.#recordBytesLeft, chunk.length - at);
      if (!this.#append(chunk.subarray(at, at + bytes))) return refused("the ClientHello is too long");
      at += bytes;
      this.#recordBytesLeft -= bytes;
      const reading = this.#readMessage();
      if (reading.at !== "more") return reading;
    }
    return MORE;
  }

  /** Told of a fault as soon as the octet that makes it has come. RFC 8446 section 5.1. */
  #checkHeader(): string | null {
    const header = this.#header;
    const count = this.#headerBytes;
    if (header[0] !== HANDSHAKE_RECORD) return "no handshake record";
    if (count >= 2 && header[1] !== 3) return "a record of an unknown version";
    if (count < RECORD_HEADER_BYTES) return null;
    const bytes = header.readUInt16BE(3);
    if (bytes === 0) return "an empty handshake record";
    if (bytes > RECORD_BYTES_MAX) return "a record that is too long";
    this.#headerBytes = 0;
    this.#recordBytesLeft = bytes;
    return null;
  }

  #append(bytes: Buffer): boolean {
    const total = this.#messageBytes + bytes.length;
    // What stands behind the message in its record is the peer's affair.
    if (total > LIMITS.clientHelloBytesMax + RECORD_BYTES_MAX) return false;
    if (total > this.#message.length) {
      const grown = Buffer.alloc(Math.max(total, 2 * this.#message.length));
      this.#message.copy(grown, 0, 0, this.#messageBytes);
      this.#message = grown;
    }
    bytes.copy(this.#message, this.#messageBytes);
    this.#messageBytes = total;
    return true;
  }

  #readMessage(): ClientHelloReading {
    const message = this.#message;
    if (message[0] !== CLIENT_HELLO) return refused("no ClientHello");
    if (this.#messageBytes < MESSAGE_HEADER_BYTES) return MORE;
    const bytes = message.readUIntBE(1, 3);
    if (bytes > LIMITS.clientHelloBytesMax) return refused("the ClientHello is too long");
    const end = MESSAGE_HEADER_BYTES + bytes;
    if (this.#messageBytes < end) return MORE;
    return parseBody(message.subarray(MESSAGE_HEADER_BYTES, end));
  }
}

/** Thrown and caught in this file: a field that does not fit. */
class Malformed extends Error {}

/** A vector of TLS's notation (RFC 8446 section 3), read from the front. */
class Vector {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(count: number): Buffer {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw new Malformed("a field reaches behind the end");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  number(octets: 1 | 2): number {
    return this.take(octets).readUIntBE(0, octets);
  }

  /** Its length stands before it. */
  vector(lengthOctets: 1 | 2, min: number): Buffer {
    const length = this.number(lengthOctets);
    if (length < min) throw new Malformed("a field is too short");
    return this.take(length);
  }
}

function parseBody(body: Buffer): ClientHelloReading {
  try {
    return { at: "hello", hello: readHello(new Vector(body)) };
  } catch (thrown) {
    if (thrown instanceof Malformed) return refused(thrown.message);
    throw thrown;
  }
}

function readHello(body: Vector): ClientHello {
  if (body.number(2) >> 8 !== 3) throw new Malformed("an unknown version");
  body.take(RANDOM_BYTES);
  if (body.vector(1, 0).length > SESSION_ID_BYTES_MAX) throw new Malformed("a session id that is too long");
  if (body.vector(2, 2).length % 2 !== 0) throw new Malformed("half a cipher suite");
  body.vector(1, 1);
  // TLS 1.2 knows a hello without any. RFC 5246 section 7.4.1.2.
  const extensions = body.isEmpty ? new Map<number, Buffer>() : readExtensions(new Vector(body.vector(2, 0)));
  if (!body.isEmpty) throw new Malformed("something stands behind the extensions");
  return {
    sni: readServerName(extensions.get(SERVER_NAME)),
    alpn: readAlpn(extensions.get(ALPN)),
    isOuter: extensions.get(ENCRYPTED_CLIENT_HELLO)?.[0] === OUTER,
  };
}

/** No extension may stand there twice: two readers would take different ones. RFC 8446 section 4.2. */
function readExtensions(list: Vector): ReadonlyMap<number, Buffer> {
  const extensions = new Map<number, Buffer>();
  while (!list.isEmpty) {
    const type = list.number(2);
    if (extensions.has(type)) throw new Malformed("an extension stands there twice");
    extensions.set(type, list.vector(2, 0));
  }
  return extensions;
}

/** One name, of the only type that there is. RFC 6066 section 3. */
function readServerName(extension: Buffer | undefined): string | null {
  if (extension === undefined) return null;
  const outer = new Vector(extension);
  const list = new Vector(outer.vector(2, 1));
  if (list.number(1) !== HOST_NAME) throw new Malformed("a server name of an unknown type");
  const name = list.vector(2, 1).toString("latin1");
  if (!list.isEmpty || !outer.isEmpty) throw new Malformed("more than one server name");
  if (!HOST.test(name)) throw new Malformed("a server name that is no host name");
  return name.toLowerCase();
}

function readAlpn(extension: Buffer | undefined): readonly string[] {
  if (extension === undefined) return [];
  const outer = new Vector(extension);
  const list = new Vector(outer.vector(2, 2));
  if (!outer.isEmpty) throw new Malformed("something stands behind the protocols");
  const protocols: string[] = [];
  while (!list.isEmpty) protocols.push(list.vector(1, 1).toString("latin1"));
  return protocols;
}

function refused(why: string): ClientHelloReading {
  return { at: "refused", why };
}

const MORE: ClientHelloReading = Object.freeze({ at: "more" });

const HANDSHAKE_RECORD = 22;
const RECORD_HEADER_BYTES = 5;
const RECORD_BYTES_MAX = 16_384;
const MESSAGE_HEADER_BYTES = 4;
const CLIENT_HELLO = 1;
const RANDOM_BYTES = 32;
const SESSION_ID_BYTES_MAX = 32;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const ALPN = 16;
const ENCRYPTED_CLIENT_HELLO = 0xfe0d;
const OUTER = 0;

/** Enough for a hello without post-quantum keys. */
const FIRST_BYTES = 1_024;

/** ASCII, as RFC 6066 has it; underscores are no host name's, and in use. */
const HOST = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9_.])?$/;
