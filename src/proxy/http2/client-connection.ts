import { CardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Connection } from "../../core/ports.ts";
import type { FlowTls } from "../../observe/flow.ts";
import { headerValues } from "../../wire/headers.ts";
import { hasBody } from "../../wire/http1-body.ts";
import { requestPseudoFields } from "../../wire/http2-request-head.ts";
import type { ChannelOwner, ClientOptions } from "../http1/client-connection.ts";
import { type LiveConnection, type Moment, Stillness } from "../live.ts";
import type { AnswerEvents, Channel, Detached, OutgoingRequest, UpstreamStream } from "../streams.ts";
import { Http2ClientStream } from "./client-stream.ts";
import { Http2Session } from "./session.ts";
import type { SessionOwner } from "./session-owner.ts";
import type { Http2Stream } from "./stream.ts";
import { Http2StreamConnection } from "./stream-connection.ts";

export interface Http2ClientOptions extends ClientOptions {
  readonly clock: Clock;
  /** Another sidecar, which may be asked whether it lives; apps count such questions as abuse. */
  readonly probesPeer: boolean;
  /** What requests say of how they came; between sidecars "http", as Istio's have it. Default: "http". */
  readonly scheme?: "http" | "https";
  /** Default: LIMITS.http2StreamWindowBytes. */
  readonly streamWindowBytes?: number;
}

/** HTTP/2 towards an upstream: as many requests at once as it allows. RFC 9113. */
export class Http2ClientConnection implements Channel, SessionOwner, LiveConnection {
  readonly side = "client";
  readonly protocol = "h2";
  readonly tls: FlowTls;
  readonly probesPeer: boolean;
  readonly streamWindowBytes: number;
  readonly #connection: Connection;
  readonly #owner: ChannelOwner;
  readonly #options: Http2ClientOptions;
  readonly #session: Http2Session;
  readonly #stillness = new Stillness();
  readonly #idleMs: number;
  readonly #streamsMax: number | null;
  #requestsLeft: number;
  /** As the owner knows it: it lends the connection out while this holds. */
  #wasFree = true;
  #isKnown = false;
  /** The upstream takes nothing at two ticks in turn. */
  #isSlow = false;
  #wasBlocked = false;

  constructor(connection: Connection, options: Http2ClientOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#owner = options.owner;
    this.tls = options.tls;
    this.probesPeer = options.probesPeer;
    this.#idleMs = options.settings?.idleMs ?? LIMITS.upstreamIdleMs;
    this.#streamsMax = options.settings?.streamsMax ?? null;
    this.#requestsLeft = options.settings?.requestsPerConnectionMax ?? Number.POSITIVE_INFINITY;
    this.streamWindowBytes = options.streamWindowBytes ?? LIMITS.http2StreamWindowBytes;
    this.#session = new Http2Session(connection, this, options.clock);
    options.live.add(this);
  }

  get isFree(): boolean {
    if (!this.#session.hasRoom || !this.#isWithinWhatIsKnown()) return false;
    return this.#streamsMax === null || this.#session.streamCount < this.#streamsMax;
  }

  /** A long body is under way or announced, or the upstream has read too slowly for a while and still does. */
  get isCrowded(): boolean {
    return this.#session.longStreamCount > 0 || (this.#isSlow && this.#session.sender.isBlocked);
  }

  get localPort(): number {
    return this.#connection.local.port;
  }

  /** The peer says in its settings whether it takes the extended CONNECT. RFC 8441 section 3. */
  get upgrades(): "yes" | "no" | "unknown" {
    const { hasArrived, takesExtendedConnect } = this.#session.peer;
    if (!hasArrived) return "unknown";
    return takesExtendedConnect ? "yes" : "no";
  }

  get requestCount(): number {
    return this.#session.streamCount;
  }

  /** Errors: `upgrade-not-allowed` unless `upgrades` is "yes". A `target` for CONNECT is its authority. */
  send(request: OutgoingRequest, events: AnswerEvents): UpstreamStream {
    const { method, target, headers, framing, upgrade, takesTrailers, neverIndexed } = request;
    if (upgrade !== null && this.upgrades !== "yes") {
      throw new CardeaError("upgrade-not-allowed", "the upstream takes no upgrades over HTTP/2");
    }
    const isConnect = method === "CONNECT";
    const authority = isConnect ? target : (headerValues(headers, "host")[0] ?? "");
    const { scheme = "http" } = this.#options;
    const pseudo = requestPseudoFields({ method, scheme, authority, path: target, protocol: upgrade });
    if (framing.kind === "length") headers.push("content-length", `${framing.bytes}`);
    if (takesTrailers) headers.push("te", "trailers");
    const stream = this.#session.openStream();
    const sent = new Http2ClientStream(stream, {
      asked: { method, protocol: upgrade },
      framing,
      events,
      detach: this.#detach,
      wasSilent: this.#silenceSince(this.#connection.bytesReceived),
    });
    if (framing.kind === "length") stream.announce(framing.bytes);
    this.#wasFree = this.isFree;
    stream.sendHeaders(
      { pseudo, headers, neverIndexed: neverIndexed ?? null },
      !isConnect && upgrade === null && !hasBody(framing),
    );
    if (--this.#requestsLeft <= 0) this.drain();
    return sent;
  }

  onStream(): void {
    // The peer cannot open any: see Http2Session.
  }

  onRoom(): void {
    const isFree = this.isFree;
    const hasBecomeFree = isFree && !this.#wasFree;
    this.#wasFree = isFree;
    if (!this.#isKnown && this.#session.peer.hasArrived) {
      this.#isKnown = true;
      this.#owner.onKnown(this);
    }
    if (hasBecomeFree) this.#owner.onFree(this);
  }

  onRetired(): void {
    this.#wasFree = false;
  }

  onLost(): void {
    this.#owner.onGone(this);
  }

  onClosed(): void {
    this.#options.live.delete(this);
  }

  onTick(now: Moment): void {
    const { lifetime } = this.#options;
    if (now.wallMs >= lifetime.endsAtMs) {
      this.endNow(new CardeaError("certificate-ended", "the certificates of the upstream connection have ended"));
      return;
    }
    if (now.wallMs >= lifetime.retiresAtMs) this.drain();
    this.#session.onTick(now);
    const isBlocked = this.#session.sender.isBlocked;
    this.#isSlow = isBlocked && this.#wasBlocked;
    this.#wasBlocked = isBlocked;
    const { bytesReceived, bytesSent } = this.#connection;
    const stillMs = this.#stillness.measureMs(bytesReceived + bytesSent, now.monotonicMs);
    if (this.#session.streamCount === 0 && stillMs >= this.#idleMs) this.drain();
  }

  drain(): void {
    this.#wasFree = false;
    this.#session.drain();
  }

  endNow(error: CardeaError): void {
    this.#session.cut(error);
  }

  /**
   * An app may take few streams at once, and refuses what is above it: until it has said how many, which on loopback
   * is at once, it gets one. Other sidecars take more than we hold them to.
   */
  #isWithinWhatIsKnown(): boolean {
    return this.probesPeer || this.#session.peer.hasArrived || this.#session.streamCount === 0;
  }

  #silenceSince(bytesReceived: number): () => boolean {
    return () => bytesReceived > 0 && this.#connection.bytesReceived === bytesReceived;
  }

  readonly #detach = (stream: Http2Stream): Detached => {
    const { local, remote } = this.#connection;
    const connection = new Http2StreamConnection(stream, { local, remote, side: "upstream" });
    return { connection, early: null, lifetime: this.#options.lifetime };
  };
}
