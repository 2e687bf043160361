import { parseIp } from "../core/cidr.ts";
import { type Fault, type Located, locatePlain } from "../core/located.ts";
import {
  ignored,
  integer,
  lookUp,
  mapOf,
  object,
  oneOf,
  parsed,
  required,
  type Schema,
  string,
  withDefault,
} from "../core/schema.ts";
import type { EvalUser } from "./eval-token.ts";
import { parseSpiffeId } from "../core/spiffe-id.ts";
import { CLAIMS } from "../policy/claims.ts";
import type { PeerFacts, RequestFacts, Workload } from "../policy/facts.ts";

/** One line of `policy eval`'s input. */
export interface EvalRequest {
  /** Given back as it came. */
  readonly id: string | number | null;
  readonly workload: Workload;
  readonly peer: PeerFacts;
  /** Null: bytes other than HTTP. The path is as it was sent. */
  readonly request: RequestFacts | null;
  readonly user: EvalUser;
}

export type EvalLine =
  | { readonly kind: "request"; readonly request: EvalRequest }
  | { readonly kind: "bad"; readonly id: string | number | null; readonly faults: readonly Fault[] };

/** A line of JSON → request, or what is wrong with it. */
export function parseEvalLine(text: string, place: { readonly file: string; readonly line: number }): EvalLine {
  const faults: Fault[] = [];
  const located = parseJson(text);
  if (located === null) return { kind: "bad", id: null, faults: [faultAt(place, "", "not valid JSON")] };
  const document = LINE(located, { file: place.file, field: "", faults });
  if (document === undefined)
    return {
      kind: "bad",
      id: idOf(located),
      faults: faults.map((fault) => ({ ...fault, line: place.line, column: 1 })),
    };
  const { id, source, destination, protocol, sni, request, claims, token } = document;
  const sourceIp = source.ip ?? UNKNOWN_IP;
  const { namespace, labels, ip, port } = destination;
  if (protocol === "http" && request === null)
    return { kind: "bad", id, faults: [faultAt(place, "request", "is required unless protocol is tcp")] };
  const peer: PeerFacts = {
    principal: source.principal,
    sourceIp,
    remoteIp: source.remoteIp ?? sourceIp,
    destinationIp: ip ?? UNKNOWN_IP,
    destinationPort: port,
    sni,
  };
  const workload = { namespace, labels: Object.fromEntries(labels ?? []) };
  const facts = protocol === "tcp" || request === null ? null : requestFacts(request);
  return { kind: "request", request: { id, workload, peer, request: facts, user: { claims, token } } };
}

/** An address that is not given is in no range that grants and in every range that takes away. */
const UNKNOWN_IP = "";

const ID: Schema<string | number> = (value, scope) =>
  value.kind === "scalar" && typeof value.value === "number" ? value.value : string({ allowEmpty: true })(value, scope);

/** A text that is no address would be matched like an unknown one: better said. */
const IP = parsed(string(), (text) => {
  if (parseIp(text) !== null) return text;
  throw new Error(`expected an IP address, found ${JSON.stringify(text)}`);
});

/** `null`, written out, is a caller without identity. */
function orNull<T>(schema: Schema<T>): Schema<T | null> {
  return (value, scope) => (value.kind === "scalar" && value.value === null ? null : schema(value, scope));
}

const REQUEST = object({
  method: required(string()),
  path: required(string()),
  host: withDefault(orNull(string({ allowEmpty: true })), null),
  headers: withDefault(orNull(mapOf(string({ allowEmpty: true }))), null),
});

const LINE = object({
  id: withDefault(orNull(ID), null),
  source: required(
    object({
      principal: withDefault(orNull(parsed(string(), parseSpiffeId)), null),
      ip: withDefault(orNull(IP), null),
      remoteIp: withDefault(orNull(IP), null),
    }),
  ),
  destination: required(
    object({
      namespace: required(string()),
      labels: withDefault(orNull(mapOf(string({ allowEmpty: true }))), null),
      serviceAccount: ignored(),
      ip: withDefault(orNull(IP), null),
      port: required(integer({ min: 0, max: 65_535 })),
    }),
  ),
  protocol: withDefault(oneOf("http", "tcp"), "http"),
  sni: withDefault(orNull(string()), null),
  request: withDefault(orNull(REQUEST), null),
  claims: withDefault(orNull(CLAIMS), null),
  token: withDefault(orNull(string()), null),
});

interface RequestFields {
  readonly method: string;
  readonly path: string;
  readonly host: string | null;
  readonly headers: ReadonlyMap<string, string> | null;
}

function requestFacts({ method, path, host, headers }: RequestFields): RequestFacts {
  const byName = new Map<string, string>();
  for (const [name, value] of headers ?? []) {
    const before = byName.get(name.toLowerCase());
    byName.set(name.toLowerCase(), before === undefined ? value : `${before},${value}`);
  }
  return { method, path, host: host ?? byName.get("host") ?? "", header: (name) => byName.get(name), claims: null };
}

function parseJson(text: string): Located | null {
  try {
    return locatePlain(JSON.parse(text));
  } catch (thrown) {
    // A RangeError: nested so deep that walking it exhausts the stack.
    if (thrown instanceof SyntaxError || thrown instanceof RangeError) return null;
    throw thrown;
  }
}

/** Even a bad line is answered by its own id where it has one. */
function idOf(located: Located): string | number | null {
  const id = lookUp(located, "id");
  const value = id?.kind === "scalar" ? id.value : null;
  return typeof value === "boolean" ? null : value;
}

function faultAt(place: { readonly file: string; readonly line: number }, field: string, message: string): Fault {
  return { ...place, column: 1, field, message };
}
