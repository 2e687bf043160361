import { ProtobufBytes } from "../wire/protobuf-bytes.ts";
import { FLOW_FIELDS, type FlowPeer, type FlowRecord, type FlowTls } from "./flow.ts";
import { type AttributeKey, attributeKey, putNumber, putText, putTexts } from "./otlp-attributes.ts";

/** What one field of many flows' common facts came to: attributes as bytes, and a number to tell them apart by. */
interface Part {
  readonly number: number;
  readonly bytes: Buffer;
}

/** Facts that many flows have in common, as attributes one behind the other, and what was made of them. */
export interface CommonFacts<Made> {
  readonly attributes: Buffer;
  made: Made | null;
}

type FieldName = keyof typeof FLOW_FIELDS;
type Keys = Readonly<Record<FieldName, AttributeKey>>;

/** Attribute keys of all fields of the table, as occurrences of a repeated field with this tag. */
export function flowKeys(tag: number): Keys {
  return Object.fromEntries(
    Object.entries(FLOW_FIELDS).map(([name, { otel }]) => [name, attributeKey(tag, otel)]),
  ) as Keys;
}

type Decided = Pick<FlowRecord, "reporter" | "verdict" | "reason" | "policy" | "rule" | "revision" | "endedBy">;
type Asked = Pick<FlowRecord, "servicePort" | "protocol" | "method" | "host" | "status">;

/**
 * Finds what a flow has in common with others: both sides without the caller's port, how it came out, what was asked for,
 * TLS. It is remembered by objects and by contents, up to a bound, since it runs for every request and callers choose some
 * of it.
 */
export class FlowGroups<Made> {
  readonly #keys: Keys;
  readonly #numbers = new Map<string, Part>();
  readonly #groups = new Map<number, CommonFacts<Made>>();
  #sources = new WeakMap<FlowPeer, Part>();
  #destinations = new WeakMap<FlowPeer, Part>();
  #tls = new WeakMap<FlowTls, Part>();
  #lastDecided: { readonly facts: Decided; readonly part: Part } | null = null;
  #lastAsked: { readonly facts: Asked; readonly part: Part } | null = null;
  #lastNumber = -1;
  #last: CommonFacts<Made> | null = null;

  constructor(attributesTag: number) {
    this.#keys = flowKeys(attributesTag);
  }

  of(flow: FlowRecord): CommonFacts<Made> {
    if (this.#numbers.size > PARTS_MAX) this.#forget();
    const source = this.#sources.get(flow.source) ?? this.#peer(flow.source, "source");
    const destination = this.#destinations.get(flow.destination) ?? this.#peer(flow.destination, "destination");
    const tls = this.#tls.get(flow.tls) ?? this.#tlsPart(flow.tls);
    const decided = this.#decided(flow);
    const asked = this.#asked(flow);
    // Below 2^50, since there are no more parts than that: a number that tells five of them apart.
    let number = source.number * PART_NUMBERS + destination.number;
    number = ((number * PART_NUMBERS + tls.number) * PART_NUMBERS + decided.number) * PART_NUMBERS + asked.number;
    if (number === this.#lastNumber) return this.#last!;
    let group = this.#groups.get(number);
    if (group === undefined) {
      const parts = [decided, source, destination, asked, tls];
      group = { attributes: Buffer.concat(parts.map(({ bytes }) => bytes)), made: null };
      if (this.#groups.size >= GROUPS_MAX) this.#groups.clear();
      this.#groups.set(number, group);
    }
    this.#lastNumber = number;
    this.#last = group;
    return group;
  }

  #forget(): void {
    this.#numbers.clear();
    this.#groups.clear();
    this.#sources = new WeakMap();
    this.#destinations = new WeakMap();
    this.#tls = new WeakMap();
    this.#lastDecided = null;
    this.#lastAsked = null;
    this.#lastNumber = -1;
  }

  #part(made: ProtobufBytes): Part {
    const bytes = made.take();
    const text = bytes.toString("latin1");
    let part = this.#numbers.get(text);
    if (part === undefined) this.#numbers.set(text, (part = { number: this.#numbers.size, bytes }));
    return part;
  }

  /** The caller's port is another for each connection, so it is no part of what they have in common. */
  #peer(peer: FlowPeer, side: "source" | "destination"): Part {
    const keys = this.#keys;
    const made = new ProtobufBytes(PART_FIRST_BYTES);
    putText(made, keys[`${side}.ip`], peer.ip);
    if (side === "destination") putNumber(made, keys["destination.port"], peer.port);
    putText(made, keys[`${side}.principal`], peer.principal);
    putText(made, keys[`${side}.namespace`], peer.namespace);
    putText(made, keys[`${side}.workload`], peer.workload);
    putText(made, keys[`${side}.service`], peer.service);
    putTexts(made, keys[`${side}.labels`], peer.labels);
    const part = this.#part(made);
    (side === "source" ? this.#sources : this.#destinations).set(peer, part);
    return part;
  }

  #tlsPart(tls: FlowTls): Part {
    const made = new ProtobufBytes(PART_FIRST_BYTES);
    putText(made, this.#keys["tls.version"], tls.version);
    putText(made, this.#keys["tls.group"], tls.group);
    putText(made, this.#keys["tls.sni"], tls.sni);
    const part = this.#part(made);
    this.#tls.set(tls, part);
    return part;
  }

  /** Many requests one after the other come out the same way. */
  #decided(flow: Decided): Part {
    if (this.#lastDecided !== null && isSameDecided(this.#lastDecided.facts, flow)) return this.#lastDecided.part;
    const { reporter, verdict, reason, policy, rule, revision, endedBy } = flow;
    const keys = this.#keys;
    const made = new ProtobufBytes(PART_FIRST_BYTES);
    putText(made, keys.reporter, reporter);
    putText(made, keys.verdict, verdict);
    putText(made, keys.reason, reason);
    putText(made, keys.policy, policy);
    putNumber(made, keys.rule, rule);
    putText(made, keys.revision, revision);
    putText(made, keys.endedBy, endedBy);
    const part = this.#part(made);
    this.#lastDecided = { facts: { reporter, verdict, reason, policy, rule, revision, endedBy }, part };
    return part;
  }

  /** And ask the same host in the same way. */
  #asked(flow: Asked): Part {
    if (this.#lastAsked !== null && isSameAsked(this.#lastAsked.facts, flow)) return this.#lastAsked.part;
    const { servicePort, protocol, method, host, status } = flow;
    const keys = this.#keys;
    const made = new ProtobufBytes(PART_FIRST_BYTES);
    putNumber(made, keys.servicePort, servicePort);
    putText(made, keys.protocol, protocol);
    putText(made, keys.method, method);
    putText(made, keys.host, host);
    putNumber(made, keys.status, status);
    const part = this.#part(made);
    this.#lastAsked = { facts: { servicePort, protocol, method, host, status }, part };
    return part;
  }
}

function isSameDecided(one: Decided, other: Decided): boolean {
  return (
    one.reason === other.reason &&
    one.policy === other.policy &&
    one.rule === other.rule &&
    one.revision === other.revision &&
    one.verdict === other.verdict &&
    one.endedBy === other.endedBy &&
    one.reporter === other.reporter
  );
}

function isSameAsked(one: Asked, other: Asked): boolean {
  return (
    one.method === other.method &&
    one.host === other.host &&
    one.status === other.status &&
    one.servicePort === other.servicePort &&
    one.protocol === other.protocol
  );
}

/** Hosts, methods and server names are what callers say. */
const PARTS_MAX = 1_000;
const PART_NUMBERS = 1_024;
const GROUPS_MAX = 4_096;
const PART_FIRST_BYTES = 512;
