import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, METHODS } from "node:http";
import { connect, type NetConnectOpts } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mutate } from "../fuzz/mutate.ts";
import { SeededRandom } from "../fuzz/random.ts";
import { REQUEST_SEEDS } from "../fuzz/seeds.ts";
import { corpusPath } from "../support/corpus.ts";
import { type Forwarded, forwardedOf } from "../support/forwarded.ts";
import { readRequests } from "../support/http1-session.ts";
import { readLlhttpCases, withHost } from "../support/llhttp-cases.ts";

/**
 * What we accept and write again is read by two parsers that are not ours. Each input becomes one connection: all its
 * requests as we forward them, then one of ours that ends it. If they see other requests, other ends, hosts or paths
 * than we did, somebody could smuggle.
 */
const SEED = 20_261_122;
const MUTATED_INPUTS = 10_000;

/** What a parser says of one request. */
interface Seen {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly body: string;
}

const LAST = forwardedOf(readRequests([Buffer.from("GET /the-last-one HTTP/1.1\r\nHost: end\r\n\r\n")]).messages[0]!)!;
const CLOSING = Buffer.from("GET /the-last-one HTTP/1.1\r\nHost: end\r\nConnection: close\r\n\r\n");

const connections = inputs()
  .map(forwardedFrom)
  .filter((requests) => requests.length > 0);

function inputs(): Buffer[] {
  const corpus = corpusPath("http1-cases");
  const cases = corpus === null ? [] : readLlhttpCases(corpus).filter((each) => each.side === "request");
  const mutated = Array.from({ length: MUTATED_INPUTS }, (_, index) => {
    const random = new SeededRandom(SEED, index);
    return mutate(random.pick(REQUEST_SEEDS), REQUEST_SEEDS, random);
  });
  return [...cases.map((each) => withHost(each).input), ...REQUEST_SEEDS, ...mutated];
}

function forwardedFrom(input: Buffer): Forwarded[] {
  const whole = readRequests([input]).messages.filter((message) => message.isComplete);
  return whole.map(forwardedOf).filter((request) => request !== null);
}

function seenOf({ method, path, host, body }: Forwarded): Seen {
  return { method, path, host, body: body.toString("latin1") };
}

/** Sends the requests and waits until the server has closed. */
async function send(to: NetConnectOpts, requests: readonly Forwarded[]): Promise<void> {
  const socket = connect(to);
  socket.resume();
  socket.on("error", () => {});
  socket.write(Buffer.concat([...requests.map((request) => request.octets), CLOSING]));
  await once(socket, "close");
}

test("there is something to compare: most inputs hold a request that is accepted", () => {
  expect(connections.length).toBeGreaterThan(1_000);
  expect(connections.flat().filter((request) => request.body.length > 0).length).toBeGreaterThan(300);
  expect(connections.filter((requests) => requests.length > 1).length).toBeGreaterThan(100);
});

const folder = mkdtempSync(join(tmpdir(), "cardea-reparse-"));
const backendPath = join(folder, "backend.sock");
const nginxPath = join(folder, "nginx.sock");
let seen: Seen[] = [];
const backend = createServer({ insecureHTTPParser: false, requireHostHeader: true }, (request, response) => {
  const body: Buffer[] = [];
  request.on("data", (piece: Buffer) => body.push(piece));
  request.on("end", () => {
    const { method = "", url = "", headers } = request;
    seen.push({ method, path: url, host: headers.host ?? "", body: Buffer.concat(body).toString("latin1") });
    response.end();
  });
});

beforeAll(async () => {
  backend.listen(backendPath);
  await once(backend, "listening");
});

afterAll(async () => {
  backend.closeAllConnections();
  backend.close();
  await once(backend, "close");
  rmSync(folder, { recursive: true, force: true });
});

/** One connection for each input, and what came of it. */
async function expectSeen(to: NetConnectOpts, known: readonly Forwarded[][]): Promise<void> {
  for (const requests of known) {
    seen = [];
    await send(to, requests);
    expect(seen).toEqual([...requests, LAST].map(seenOf));
  }
}

describe("node:http", () => {
  // llhttp knows the registered methods alone; others it refuses, which smuggles nothing.
  const known = connections.filter((requests) => requests.every((request) => METHODS.includes(request.method)));

  test("sees the requests that we saw, with their bodies", async () => {
    expect(known.length).toBeGreaterThan(1_500);
    await expectSeen({ path: backendPath }, known);
  });
});

const nginx = whereIsNginx();

describe.skipIf(nginx === null)("nginx (skipped when there is none: CARDEA_TEST_NGINX or PATH)", () => {
  let child: ChildProcess | null = null;

  beforeAll(async () => {
    writeFileSync(join(folder, "nginx.conf"), NGINX_CONFIG);
    child = spawn(nginx!, ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")]);
    await untilConnectable(nginxPath, child);
  });

  afterAll(async () => {
    if (child?.exitCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  });

  // nginx takes letters, dash and underscore in methods, none of TRACE, and has no OPTIONS *.
  const known = connections.filter((requests) =>
    requests.every(({ method, path }) => METHODS.includes(method) && method !== "TRACE" && path !== "*"),
  );

  test("sees the requests that we saw, with their bodies, and hands them on alike", async () => {
    expect(known.length).toBeGreaterThan(1_500);
    await expectSeen({ path: nginxPath }, known);
  });
});

/** One process, which reads every request whole before it hands it on to node:http. */
const NGINX_CONFIG = `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 256; }
http {
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")}
  access_log off; keepalive_requests 100000; large_client_header_buffers 4 64k; lingering_close off;
  upstream backend { server unix:${backendPath}; keepalive 4; }
  server {
    listen unix:${nginxPath};
    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection ""; }
  }
}
`;

function whereIsNginx(): string | null {
  const named = process.env["CARDEA_TEST_NGINX"];
  for (const path of named === undefined ? ["nginx", "/usr/sbin/nginx"] : [named]) {
    try {
      execFileSync(path, ["-v"], { stdio: "ignore" });
      return path;
    } catch {
      // Not there; perhaps at the next place.
    }
  }
  return null;
}

async function untilConnectable(path: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`);
    const socket = connect({ path });
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
  }
}
