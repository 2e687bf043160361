import type { AppCheck, AppProbe } from "../core/app-probe.ts";
import {
  ignored,
  integer,
  listOf,
  mapOf,
  object,
  oneOf,
  optional,
  parsed,
  required,
  type Schema,
  string,
  withDefault,
} from "../core/schema.ts";
import { parseJsonText } from "./json-text.ts";

/** The kubelet's default, in seconds. Kubernetes API, Probe.timeoutSeconds. */
export const PROBE_TIMEOUT_SEC = 1;

/**
 * The probes that injection took over, as JSON: path → the handler as the manifest has it, with its port as a number.
 * Errors: `bad-input`, every fault on a line of its own.
 */
export function parseAppProbes(text: string, file: string): readonly AppProbe[] {
  const entries = parseJsonText(PROBES, text, file);
  return [...entries].map(([path, { port, timeoutSeconds, handler }]) => ({
    path,
    timeoutMs: timeoutSeconds * 1_000,
    check: checkOf(handler, port),
  }));
}

const PORT = integer({ min: 1, max: 65_535 });
const ANY_PORT: Schema<true> = () => true;

const HTTP = object({
  path: withDefault(string({ allowEmpty: true }), "/"),
  port: required(ANY_PORT),
  scheme: withDefault(oneOf("HTTP", "HTTPS"), "HTTP"),
  host: ignored(),
  httpHeaders: withDefault(
    listOf(object({ name: required(string()), value: withDefault(string({ allowEmpty: true }), "") })),
    [],
  ),
});

const HANDLER = parsed(
  object({
    httpGet: optional(HTTP),
    tcpSocket: optional(object({ port: required(ANY_PORT), host: ignored() })),
    grpc: optional(object({ port: required(ANY_PORT), service: withDefault(string({ allowEmpty: true }), "") })),
  }),
  (handler) => {
    const given = Object.values(handler).filter((each) => each !== null);
    if (given.length !== 1) throw new Error("needs one of httpGet, tcpSocket and grpc");
    return handler;
  },
);

const PROBES = mapOf(
  object({
    port: required(PORT),
    timeoutSeconds: withDefault(integer({ min: 1, max: 3_600 }), PROBE_TIMEOUT_SEC),
    handler: required(HANDLER),
  }),
);

type Handler = typeof HANDLER extends Schema<infer T> ? T : never;

function checkOf({ httpGet, tcpSocket, grpc }: Handler, port: number): AppCheck {
  if (httpGet !== null) {
    const { scheme, path, httpHeaders } = httpGet;
    // The kubelet adds the slash that a path lacks.
    const target = path.startsWith("/") ? path : `/${path}`;
    return { kind: "http", scheme, port, target, headers: httpHeaders.map(({ name, value }) => [name, value]) };
  }
  if (tcpSocket !== null) return { kind: "tcp", port };
  return { kind: "grpc", port, service: grpc?.service ?? "" };
}
