import http from "node:http";
import { FLAG, FRAME } from "../../src/wire/http2-codes.ts";
import { normalizePath } from "../../src/wire/path.ts";
import type { Collected } from "../support/collected.ts";
import { OPENING, rawFrame, readFrames } from "../support/http2-frames.ts";
import { openSimMesh, type SimMesh } from "../support/sim-mesh.ts";
import { ConnectionDuplex } from "../support/sim-duplex.ts";
import { shopId } from "../support/test-authority.ts";
import { policy, policySetOf } from "../support/test-mesh.ts";
import { type CrossingRequest, drawCrossing } from "./crossing-requests.ts";
import { SeededRandom } from "./random.ts";

// From HTTP/2 to an app of HTTP/1.1: requests of any kind by raw frames, at a sidecar's outbound and its inbound side.
// Behind the sidecars llhttp (node:http) reads what it is given. Each request must come to the app once with the meaning
// that it was sent with, or not at all.

interface Crossed {
  readonly method: string;
  readonly url: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  body: string;
  isWhole: boolean;
}

/** A mesh that any number of inputs go through. */
export interface Crossing {
  /** How many requests came to the app, and how many did not. */
  readonly counts: { crossed: number; refused: number };
  /** What is wrong with the input of an index, in words; null: nothing. */
  play(seed: number, index: number): Promise<string | null>;
}

const REQUESTS_MAX = 3;
const ROUNDS_MAX = 200;
const NOT_DENIED = policySetOf([
  policy("not-denied", { action: "ALLOW", rules: [{ to: [{ operation: { notPaths: ["/denied"] } }] }] }),
]);

export async function openCrossing(): Promise<Crossing> {
  const mesh = await openSimMesh({ policy: NOT_DENIED });
  const seen: Crossed[] = [];
  const server = http.createServer({ insecureHTTPParser: false, requireHostHeader: true }, (request, response) => {
    const { method = "", url = "", rawHeaders } = request;
    const fields = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, rawHeaders[i + 1]!] as const] : []));
    const came: Crossed = { method, url, fields, body: "", isWhole: false };
    seen.push(came);
    request.on("error", () => {});
    request.setEncoding("latin1").on("data", (piece: string) => void (came.body += piece));
    request.on("end", () => {
      came.isWhole = true;
      response.end();
    });
  });
  const unread: string[] = [];
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // llhttp knows the registered methods alone; others it refuses, which smuggles nothing.
    const { code = "" } = error;
    if (code.startsWith("HPE_") && !["HPE_INVALID_METHOD", "HPE_INVALID_EOF_STATE"].includes(code)) unread.push(code);
    socket.destroy();
  });
  mesh.onOrdersApp((connection) => void server.emit("connection", new ConnectionDuplex(connection, true)));
  const counts = { crossed: 0, refused: 0 };

  async function playInput(random: SeededRandom): Promise<string | null> {
    const isInbound = random.below(2) === 0;
    const caller = isInbound
      ? await mesh.callAs(mesh.authority.issue(shopId("web")), mesh.ordersInbound, { alpn: ["h2"] })
      : await mesh.call(mesh.toOrders);
    caller.connection.write(OPENING);
    for (let i = 0; i < 1 + random.below(REQUESTS_MAX) && !caller.isClosed && !caller.isEnded; i++) {
      const fault = await crossOne(caller, 2 * i + 1, random);
      if (fault !== null) return fault;
    }
    caller.connection.destroy();
    await mesh.settle();
    return null;
  }

  async function crossOne(caller: Collected, streamId: number, random: SeededRandom): Promise<string | null> {
    const request = drawCrossing(random);
    const before = seen.length;
    const flows = allowedAt(mesh);
    caller.connection.write(framesOf(request, streamId));
    for (let round = 0; !isOver(caller, streamId) && round < ROUNDS_MAX; round++) await mesh.settle();
    const shown = JSON.stringify(request.fields);
    if (!isOver(caller, streamId)) return `no answer to ${shown}`;
    if (unread.length > 0) return `the app cannot read ${shown}: ${unread.join(", ")}`;
    const came = seen.slice(before);
    if (came.length > 1) return `${came.length} requests came of ${shown}: ${JSON.stringify(came)}`;
    const [one] = came;
    const isWhole = one?.isWhole === true;
    if (allowedAt(mesh) - flows !== (isWhole ? 1 : 0)) return `the flow log counts otherwise than the app: ${shown}`;
    if (isWhole) counts.crossed++;
    else counts.refused++;
    if (one === undefined) return null;
    const difference = differenceOf(request, one);
    return difference === null ? null : `${difference}: ${JSON.stringify(request)} came as ${JSON.stringify(one)}`;
  }

  return {
    counts,
    async play(seed, index) {
      try {
        return await playInput(new SeededRandom(seed, index));
      } finally {
        seen.length = 0;
        unread.length = 0;
        mesh.web.flows.length = 0;
        mesh.orders.flows.length = 0;
      }
    },
  };
}

function allowedAt(mesh: SimMesh): number {
  return mesh.orders.flows.filter(({ verdict }) => verdict === "allowed").length;
}

function framesOf({ fields, data, trailers }: CrossingRequest, streamId: number): Buffer {
  const head = rawFrame({
    type: FRAME.HEADERS,
    flags: FLAG.END_HEADERS | (data.length === 0 && trailers.length === 0 ? FLAG.END_STREAM : 0),
    streamId,
    payload: literals(fields),
  });
  const body = data.map((payload, i) => {
    const isLast = trailers.length === 0 && i === data.length - 1;
    return rawFrame({ type: FRAME.DATA, flags: isLast ? FLAG.END_STREAM : 0, streamId, payload });
  });
  const flags = FLAG.END_HEADERS | FLAG.END_STREAM;
  const end =
    trailers.length === 0 ? [] : [rawFrame({ type: FRAME.HEADERS, flags, streamId, payload: literals(trailers) })];
  return Buffer.concat([head, ...body, ...end]);
}

/** Literals without indexing, of names and values below 127 octets. RFC 7541 section 6.2.2. */
function literals(fields: CrossingRequest["fields"]): Buffer {
  const texts = fields.map(([name, value]) => `\0${lengthOctet(name)}${name}${lengthOctet(value)}${value}`);
  return Buffer.from(texts.join(""), "latin1");
}

function lengthOctet(text: string): string {
  return String.fromCharCode(text.length);
}

/** The stream, or with it the connection, has come to its end. */
function isOver(caller: Collected, streamId: number): boolean {
  if (caller.isClosed || caller.isEnded) return true;
  return readFrames(Buffer.concat(caller.chunks)).some((frame) => {
    if (frame.streamId !== streamId) return false;
    const canEnd = frame.type === FRAME.HEADERS || frame.type === FRAME.DATA;
    return frame.type === FRAME.RST_STREAM || (canEnd && (frame.flags & FLAG.END_STREAM) !== 0);
  });
}

const PSEUDO = [":method", ":scheme", ":path", ":authority"];
const OF_A_HOP = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

/** RFC 8441: what follows is another protocol's, and the app is asked for an upgrade. */
function asksForTunnel({ fields }: Pick<CrossingRequest, "fields">): boolean {
  return valueOf(fields, ":method") === "CONNECT" && valueOf(fields, ":protocol") !== null;
}

/** Why RFC 9113 section 8 calls a request's head malformed; null: it does not. */
function faultOfHead({ fields }: CrossingRequest): string | null {
  const names = fields.map(([name]) => name);
  const regular = names.findIndex((name) => !name.startsWith(":"));
  if (regular >= 0 && names.slice(regular).some((name) => name.startsWith(":"))) return "a pseudo field stands behind";
  const pseudo = asksForTunnel({ fields }) ? [...PSEUDO, ":protocol"] : PSEUDO;
  for (const name of pseudo) if (names.filter((each) => each === name).length > 1) return `${name} stands twice`;
  if (names.some((name) => name.startsWith(":") && !pseudo.includes(name))) return "an unknown pseudo field";
  if (valueOf(fields, ":method") === null || valueOf(fields, ":path") === null) return "a pseudo field is missing";
  for (const [name, value] of fields) {
    const fault = faultOfField(name, value);
    if (fault !== null) return fault;
  }
  const authority = valueOf(fields, ":authority");
  const hosts = fields.filter(([name]) => name === "host").map(([, value]) => value);
  const named = [...(authority === null ? [] : [authority]), ...hosts].map((host) => host.toLowerCase());
  return new Set(named).size === 1 ? null : "no one host";
}

/** The same of what follows the head, which may have gone its way by then. */
function faultOfBody({ fields, data, trailers }: CrossingRequest): string | null {
  for (const [name, value] of trailers) {
    const fault = name.startsWith(":") ? "a pseudo field among the trailers" : faultOfField(name, value);
    if (fault !== null) return fault;
  }
  const lengths = fields.filter(([name]) => name === "content-length");
  const bytes = Buffer.concat(data).length;
  const isOther = lengths.some(([, value]) => value.split(",").some((each) => Number(each) !== bytes));
  return isOther ? "another length" : null;
}

function faultOfField(name: string, value: string): string | null {
  if (!/^:?[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return `the name ${JSON.stringify(name)}`;
  if (/[\0\r\n]/.test(value) || /^[ \t]|[ \t]$/.test(value)) return `the value of ${name}`;
  if (OF_A_HOP.has(name)) return `the field ${name}`;
  if (name === "te" && value !== "trailers") return "te";
  return null;
}

/** In what a request that came is another than the one that was sent, or might not come; null: in nothing. */
function differenceOf(request: CrossingRequest, came: Crossed): string | null {
  const { fields } = request;
  const isTunnel = asksForTunnel(request);
  const late = isTunnel ? null : faultOfBody(request);
  const fault = faultOfHead(request) ?? (came.isWhole ? late : null);
  if (fault !== null) return fault;
  // What belongs to a head may be left out of the trailers, or taken for a fault.
  const isLate = request.trailers.some(([name]) => name === "content-length" || name === "host");
  if (!came.isWhole && late === null && !isLate) return "it did not come whole";
  const path = normalizePath(valueOf(fields, ":path")!, "BASE");
  if (came.method !== (isTunnel ? "GET" : valueOf(fields, ":method"))) return "another method";
  if (!path.ok || came.url !== path.path) return "another target";
  const hosts = came.fields.filter(([name]) => name.toLowerCase() === "host").map(([, value]) => value);
  if (hosts.length !== 1 || hosts[0] !== (valueOf(fields, ":authority") ?? valueOf(fields, "host")))
    return "another host";
  const body = isTunnel ? "" : Buffer.concat(request.data).toString("latin1");
  if (came.isWhole ? came.body !== body : !body.startsWith(came.body)) return "another body";
  const regular = fields.filter(([name]) => !name.startsWith(":"));
  const sent = listOf(isTunnel ? [...regular, ["upgrade", valueOf(fields, ":protocol")!]] : regular);
  const got = listOf(came.fields);
  return sent === got ? null : `other fields (${sent} against ${got})`;
}

/** What is the app's to read: cookies in one field (RFC 9113 section 8.2.3), nothing of one hop, nothing that sidecars write. */
function listOf(fields: readonly (readonly [string, string])[]): string {
  const cookies = fields.filter(([name]) => name.toLowerCase() === "cookie").map(([, value]) => value);
  const kept = fields.filter(([name]) => !NOT_COMPARED.test(name));
  return JSON.stringify([...kept.map(([name, value]) => `${name.toLowerCase()}: ${value}`), cookies.join("; ")]);
}

const NOT_COMPARED =
  /^(?:host|cookie|te|connection|keep-alive|transfer-encoding|content-length|expect|traceparent|tracestate|x[-_]cardea.*|x[-_]envoy.*|x[-_]forwarded[-_]client[-_]cert|x-request-id)$/i;

function valueOf(fields: CrossingRequest["fields"], name: string): string | null {
  return fields.find(([each]) => each === name)?.[1] ?? null;
}
