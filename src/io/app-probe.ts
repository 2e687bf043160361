import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import { connect } from "node:net";
import type { AppCheck, AppProbe, ProbeOutcome } from "../core/app-probe.ts";
import { checkGrpcHealth } from "./grpc-health.ts";

/** Where the app is, and the local address to come from; the redirect lets connections from there pass. */
export interface AppPlace {
  readonly host: string;
  readonly localHost: string | null;
}

/** The kubelet's own bound. */
const REDIRECTS_MAX = 10;
const NOT_IN_TIME = "the app did not answer in time";

/** Asks the app once, as the kubelet would. Never throws: what goes wrong is the outcome. */
export async function runAppProbe({ check, timeoutMs }: AppProbe, place: AppPlace): Promise<ProbeOutcome> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    return await runCheck(check, place, signal);
  } catch (thrown) {
    if (signal.aborted) return { ok: false, why: NOT_IN_TIME };
    return { ok: false, why: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

function runCheck(check: AppCheck, place: AppPlace, signal: AbortSignal): Promise<ProbeOutcome> {
  switch (check.kind) {
    case "http":
      return checkHttp(check, place, signal);
    case "tcp":
      return checkTcp(check.port, place, signal);
    case "grpc":
      return checkGrpcHealth({ ...check, ...place }, signal);
  }
}

type HttpCheck = Extract<AppCheck, { readonly kind: "http" }>;

/** 200 to 399 is well. A redirect to the same host is followed, any other counts as an answer: so does the kubelet. */
async function checkHttp(check: HttpCheck, place: AppPlace, signal: AbortSignal): Promise<ProbeOutcome> {
  let next: HttpCheck = check;
  for (let tries = 0; tries <= REDIRECTS_MAX; tries++) {
    const { status, location } = await askHttp(next, place, signal);
    if (status < 200 || status >= 400) return { ok: false, why: `the app answered ${status}` };
    const local = location === null || status < 300 ? null : localTarget(next, place.host, location);
    if (local === null) return { ok: true };
    next = local;
  }
  return { ok: false, why: `the app redirects more than ${REDIRECTS_MAX} times` };
}

interface HttpReply {
  readonly status: number;
  readonly location: string | null;
}

function askHttp(check: HttpCheck, place: AppPlace, signal: AbortSignal): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const request = openRequest(check, place, signal);
    request.on("error", reject);
    request.on("response", (response: IncomingMessage) => {
      const { location } = response.headers;
      resolve({ status: response.statusCode ?? 0, location: location ?? null });
      // The status says it all, and nobody bounds the body.
      response.on("error", () => {});
      response.destroy();
    });
    request.end();
  });
}

function openRequest(check: HttpCheck, { host, localHost }: AppPlace, signal: AbortSignal): ClientRequest {
  const options: RequestOptions = {
    host,
    port: check.port,
    path: check.target,
    headers: headersOf(check.headers),
    // A connection for each: a probe asks whether the app still takes one.
    agent: false,
    signal,
    ...(localHost === null ? {} : { localAddress: localHost }),
  };
  if (check.scheme === "HTTP") return process.getBuiltinModule("node:http").request(options);
  // As the kubelet: whether the app answers is asked, not who it is.
  return process.getBuiltinModule("node:https").request({ ...options, rejectUnauthorized: false });
}

/** Apps leave probes out of their logs by this name. */
function headersOf(given: HttpCheck["headers"]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { "user-agent": "kube-probe/cardea", accept: "*/*" };
  const names = new Set(given.map(([name]) => name.toLowerCase()));
  for (const name of names) headers[name] = given.filter(([each]) => each.toLowerCase() === name).map(([, v]) => v);
  const host = headers["host"];
  if (Array.isArray(host)) headers["host"] = host[0]!;
  return headers;
}

function localTarget(check: HttpCheck, host: string, location: string): HttpCheck | null {
  const name = host.includes(":") ? `[${host}]` : host;
  const base = URL.parse(`${check.scheme.toLowerCase()}://${name}:${check.port}${check.target}`);
  const url = base === null ? null : URL.parse(location, base);
  if (base === null || url === null || url.hostname !== base.hostname) return null;
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  const scheme = url.protocol === "https:" ? "HTTPS" : "HTTP";
  const port = Number(url.port) || (scheme === "HTTPS" ? 443 : 80);
  return { ...check, scheme, port, target: `${url.pathname}${url.search}` };
}

/** An accepted connection is all that is asked for. */
function checkTcp(port: number, { host, localHost }: AppPlace, signal: AbortSignal): Promise<ProbeOutcome> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, ...(localHost === null ? {} : { localAddress: localHost }) });
    const give = (): void => void socket.destroy(new Error(NOT_IN_TIME));
    signal.addEventListener("abort", give, { once: true });
    socket.on("close", () => signal.removeEventListener("abort", give));
    socket.on("error", reject);
    socket.on("connect", () => {
      resolve({ ok: true });
      socket.destroy();
    });
  });
}
