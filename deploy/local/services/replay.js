// Stands in for a service of recorded traces: answers each call as it was answered then, and makes the calls that the
// service made then, through its sidecar. Traces that begin in this service are begun when their time comes.
//
//   node services/replay.js MESH SERVICE     the mesh file, for the ports of the others, and who of them this is
//
//   BOUTIQUE_TRACES   the recording, by its absolute path: a table of spans (CSV), Jaeger's or OTLP's JSON, also packed by gzip
//   BOUTIQUE_SPEED    how many times as fast as it was recorded (1; up to 1000)
//   BOUTIQUE_TIMES    how often the recording is played (10; up to 1000)
//
// A request names its span, and that alone is taken from it: what to do then is in the recording, which everybody has.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import http from "node:http";
import { resolve } from "node:path";

const [MESH, SERVICE] = process.argv.slice(2);
const TRACES_BYTES_MAX = 64 * 1024 * 1024;
const UNDER_WAY_MAX = 32;
const ANSWER_TIMEOUT_MS = 30_000;
/** Apps are started together: a head start for the others, and for so long one that does not answer yet is asked again. */
const HEAD_START_MS = 2_000;
const STARTING_MS = 15_000;
const RETRY_MS = 100;

/** Our own readers of traces and mesh files: sources in a checkout, what was built of them in a package. */
const ROOT = new URL("../../../", import.meta.url);
const IS_CHECKOUT = existsSync(new URL("src/main.ts", ROOT));
const ours = (name) => import(new URL(IS_CHECKOUT ? `src/${name}.ts` : `dist/${name}.js`, ROOT));
const { readTextMaybeZipped } = await ours("io/zipped-text");
const { readTraces } = await ours("observe/traces/read-traces");
const { replayKey, replayOf } = await ours("observe/traces/replay");
const { parseYaml } = await ours("config/yaml");
const { parseMesh } = await ours("config/mesh");

const { speed, times, services, replay } = await prepare().catch((error) => {
  process.stderr.write(`${SERVICE}: ${error.message}\n`);
  process.exit(2);
});

const startedMs = performance.now();
const agent = new http.Agent({ keepAlive: true, maxSockets: UNDER_WAY_MAX });
const told = { asRecorded: 0, otherwise: 0 };
if (process.env.PORT === undefined) setInterval(() => {}, 2 ** 30);
else
  http
    .createServer(answer)
    .listen(Number(process.env.PORT), "127.0.0.1", () =>
      process.stdout.write(`${SERVICE} listens on ${process.env.PORT}\n`),
    );
await until(startedMs + HEAD_START_MS);
for (let time = 1; time <= times && replay.begun.length > 0; time++) {
  await playOnce();
  process.stdout.write(
    `played ${time} of ${times}: ${replay.begun.length} traces; calls answered as recorded ${told.asRecorded}, otherwise ${told.otherwise}\n`,
  );
}

async function prepare() {
  const file = process.env.BOUTIQUE_TRACES;
  if (!file) {
    throw new Error(
      "BOUTIQUE_TRACES is not set: give it the absolute path of a recording of Online Boutique, as a table of spans (CSV) or Jaeger's or OTLP's JSON",
    );
  }
  const path = resolve(file);
  const spans = readTraces(await readTextMaybeZipped(path, TRACES_BYTES_MAX), path);
  if (spans.length === 0) throw new Error(`${path} holds no spans`);
  const own = replayOf(spans, SERVICE);
  process.stdout.write(
    `${SERVICE}: ${path} has ${own.begun.length} traces that begin here and ${own.served.size} calls of others; ${own.leftOut} calls from here are not HTTP and left out\n`,
  );
  return {
    speed: numberOf("BOUTIQUE_SPEED", 1, (number) => number > 0 && number <= 1_000),
    times: numberOf("BOUTIQUE_TIMES", 10, (number) => Number.isInteger(number) && number > 0 && number <= 1_000),
    services: await readServices(),
    replay: own,
  };
}

function numberOf(name, otherwise, isGood) {
  const number = Number(process.env[name] || otherwise);
  if (!isGood(number)) throw new Error(`${name} is ${process.env[name]}: expected a number up to 1000, above 0`);
  return number;
}

async function readServices() {
  const faults = [];
  const [document] = parseYaml(await readTextMaybeZipped(MESH, TRACES_BYTES_MAX), MESH, faults);
  const mesh = document && parseMesh(document, { file: MESH }, faults);
  if (!mesh) throw new Error(`${MESH} is not a mesh file`);
  return mesh.services;
}

/** Every trace at its time, unless more are under way than a small machine should have. */
async function playOnce() {
  const beganMs = performance.now();
  const firstMs = replay.begun[0].startMs;
  const underWay = new Set();
  for (const begun of replay.begun) {
    await until(beganMs + (begun.startMs - firstMs) / speed);
    if (underWay.size >= UNDER_WAY_MAX) await Promise.race(underWay);
    const context = { traceparent: `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-01` };
    const playing = play(begun, context).finally(() => underWay.delete(playing));
    underWay.add(playing);
  }
  await Promise.all(underWay);
}

async function answer(request, response) {
  request.resume();
  const { headers, method, url } = request;
  const key = replayKey({ traceId: headers["replay-trace"], spanId: headers["replay-span"] });
  const served = replay.served.get(key);
  if (served === undefined || served.request.method !== method || served.request.path !== url)
    return send(response, 404, "the recording has no such call");
  const isGood = await play(served, contextOf(headers));
  return isGood ? send(response, served.status, "as recorded") : send(response, 500, "a call from here failed");
}

/** What a trace is continued by; a stand-in passes it on as every service should. */
function contextOf({ traceparent, tracestate }) {
  return { ...(traceparent && { traceparent }), ...(tracestate && { tracestate }) };
}

/** Whether all that it called answered as it did when it was recorded. */
async function play(span, context) {
  const beganMs = performance.now();
  const made = [];
  for (const next of span.calls) made.push(makeInTurn(next, { beganMs, made: [...made], context }));
  const results = await Promise.all(made);
  await until(beganMs + span.durationMs / speed);
  return results.every((result) => result);
}

async function makeInTurn(next, { beganMs, made, context }) {
  await Promise.all(next.waitsFor.map((place) => made[place]));
  await until(beganMs + next.afterMs / speed);
  const status = await call(next, context);
  const isGood = status === next.status;
  told[isGood ? "asRecorded" : "otherwise"] += 1;
  if (!isGood) {
    const { method, path } = next.request;
    process.stderr.write(`${next.called.name} answered ${status} to ${method} ${path}, and not ${next.status}\n`);
  }
  return isGood;
}

async function call(next, context) {
  for (;;) {
    const status = await ask(next, context).catch((error) => error.message);
    const isStarting = status !== next.status && (typeof status === "string" || status === 502 || status === 503);
    if (!isStarting || performance.now() - startedMs > STARTING_MS) return status;
    await until(performance.now() + RETRY_MS);
  }
}

/** A forward proxy takes the whole URL as the request's target (RFC 9112 section 3.2.2). */
function ask({ called, port, request: { method, path }, traceId, spanId }, context) {
  const { promise, resolve: settle, reject } = Promise.withResolvers();
  const host = hostOf(called, port);
  const { hostname, port: proxyPort } = new URL(process.env.http_proxy);
  const headers = { host, "replay-trace": traceId, "replay-span": spanId, ...context };
  const target = { host: hostname, port: proxyPort, agent, method, path: `http://${host}${path}`, headers };
  const request = http.request({ ...target, timeout: ANSWER_TIMEOUT_MS }, (response) => {
    response.resume();
    response.on("end", () => settle(response.statusCode));
    response.on("error", reject);
  });
  request.on("timeout", () => request.destroy(new Error("no answer in time")));
  request.on("error", reject);
  request.end();
  return promise;
}

function hostOf({ name, namespace }, port) {
  const service = services.find((each) => each.name === name && (namespace === null || each.namespace === namespace));
  if (service === undefined) return `${name}:80`;
  const known = service.ports.find((each) => each.port === port) ?? service.ports[0];
  return `${name}.${service.namespace}:${known?.port ?? 80}`;
}

function send(response, status, text) {
  response.writeHead(status, { "content-type": "text/plain" }).end(`${text}\n`);
}

function until(timeMs) {
  const waitMs = timeMs - performance.now();
  return waitMs <= 0 ? undefined : new Promise((done) => setTimeout(done, waitMs));
}
