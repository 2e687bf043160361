import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readGoodPolicies } from "../../src/cli/policy-input.ts";
import { curl } from "../support/curl.ts";
import { allowPolicy, startCustomMesh } from "../support/custom-mesh.ts";
import { eventually, type TestMesh } from "../support/local-mesh.ts";
import { type IssuerKey, issuerKey, jwksOf, tokenOf } from "../support/test-tokens.ts";

// Tokens over HTTP/2, gRPC and WebSocket, and what ends a WebSocket that is open: a key that goes, a grant that ends.

const KEY = issuerKey("of-today");
const NEXT = issuerKey("of-tomorrow");
const PATIENCE_MS = 30_000;
const WEB_MAY = allowPolicy("web", "app", "web");
const USERS_ALONE = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: users-alone, namespace: test }
spec:
  selector: { matchLabels: { app: app } }
  action: DENY
  rules: [{ from: [{ source: { notRequestPrincipals: ["*"] } }] }]
`;

let app: Server;
let mesh: TestMesh;

beforeAll(async () => {
  app = createServer((_request, response) => void response.end("the app\n"));
  app.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.on("error", () => {}).pipe(socket);
  });
  await new Promise<void>((resolve) => void app.listen(0, "127.0.0.1", resolve));
  const { port } = app.address() as AddressInfo;
  const spec = `services:
  - { name: web, namespace: test }
  - { name: app, namespace: test, ports: [{ port: 8080 }], app: { address: "127.0.0.1:${port}" } }
`;
  mesh = await startCustomMesh(spec, policiesWith(KEY));
});
afterAll(async () => {
  await mesh.close();
  app.closeAllConnections();
  app.close();
});

function policiesWith(...keys: readonly IssuerKey[]): string {
  const users = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: users, namespace: test }
spec: { jwtRules: [{ issuer: "https://id.example", jwks: '${jwksOf(...keys)}' }] }
`;
  return [WEB_MAY, USERS_ALONE, users].join("---\n");
}

async function apply(text: string): Promise<void> {
  const directory = join(mesh.directory, "policies");
  writeFileSync(join(directory, "policies.yaml"), text);
  const { revision } = await readGoodPolicies([directory]);
  await eventually(async () => {
    const status = await mesh.status();
    return status !== null && status.services.every((each) => each.revision === revision);
  }, PATIENCE_MS);
}

function tokenFrom(key: IssuerKey): string {
  return tokenOf(key, { iss: "https://id.example", sub: "alice", exp: Math.floor(Date.now() / 1_000) + 600 });
}

const BAD = tokenFrom(issuerKey("of-today"));

/** As web's app does it, by its own sidecar, over HTTP/2. */
function askHttp2(token: string | null, ...more: readonly string[]) {
  const { host, port } = mesh.service("web").outbound;
  const user = token === null ? [] : ["-H", `authorization: Bearer ${token}`];
  const words = ["--http2-prior-knowledge", "-H", "host: app.test:8080", ...user, ...more];
  return curl(...words, `http://${host}:${port}/x`);
}

interface Open {
  readonly socket: Socket;
  text(): string;
  isOver(): boolean;
}

/** A WebSocket to the app, as far as it gets. */
function openWebSocket(token: string | null): Open {
  const { host, port } = mesh.service("web").outbound;
  const socket = connect(port, host);
  let text = "";
  let isOver = false;
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  socket.on("error", () => {});
  socket.on("close", () => (isOver = true));
  const user = token === null ? "" : `Authorization: Bearer ${token}\r\n`;
  const upgrade =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n";
  socket.write(`GET http://app.test:8080/ws HTTP/1.1\r\nHost: app.test:8080\r\n${user}${upgrade}\r\n`);
  return { socket, text: () => text, isOver: () => isOver };
}

async function echoes(open: Open, word: string): Promise<void> {
  open.socket.write(word);
  await eventually(() => open.text().endsWith(word), PATIENCE_MS);
}

/** What the app's sidecar has recorded of a WebSocket that ended. */
function lost(since: number) {
  return eventually(
    () =>
      mesh.flows().find((flow) => {
        const isHere = flow.timeMs >= since && flow.reporter === "destination";
        return isHere && flow.reason === "permission-lost";
      }) ?? null,
    PATIENCE_MS,
  );
}

/** The ALLOW policy as a grant that ends. */
function grantUntil(timeMs: number): string {
  const until = new Date(timeMs).toISOString();
  const annotations = `{ cardea.dev/expires: "${until}", cardea.dev/ticket: OPS-1 }`;
  return WEB_MAY.replace(/^metadata: .*$/m, `metadata: { name: web, namespace: test, annotations: ${annotations} }`);
}

describe("a token", () => {
  test.each([
    ["no token", null, 403],
    ["a token that somebody else made", BAD, 401],
    ["what is no token", "no", 401],
    ["a good one", tokenFrom(KEY), 200],
  ])("over HTTP/2, %s", async (_name, token, status) => {
    const answer = await askHttp2(token);
    expect(answer.status).toBe(status);
    if (status === 401) expect(answer.headers["www-authenticate"]).toContain('error="invalid_token"');
  });

  test.each([
    ["no token", null, "7"],
    ["a token that somebody else made", BAD, "16"],
  ])("in a gRPC call, %s", async (_name, token, grpcStatus) => {
    const call = ["-X", "POST", "-H", "content-type: application/grpc", "-H", "te: trailers"];
    const answer = await askHttp2(token, ...call);
    expect(answer.status).toBe(200);
    expect(answer.headers["grpc-status"]).toBe(grpcStatus);
  });

  test.each([
    ["no token", null, "403"],
    ["a token that somebody else made", BAD, "401"],
  ])("for a WebSocket, %s", async (_name, token, status) => {
    const refused = openWebSocket(token);
    await eventually(() => refused.text().includes("\r\n\r\n"));
    expect(refused.text()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    refused.socket.destroy();
  });
});

describe("a WebSocket that is open", () => {
  test("outlives a key that is added, and ends with the key of its token", async () => {
    const open = openWebSocket(tokenFrom(KEY));
    await eventually(() => open.text().includes(" 101 "));
    await echoes(open, "one");
    await apply(policiesWith(KEY, NEXT));
    await echoes(open, "two");
    const since = Date.now();
    await apply(policiesWith(NEXT));
    await eventually(() => open.isOver(), PATIENCE_MS);
    expect(await lost(since)).toMatchObject({
      verdict: "denied",
      status: 101,
      detail: expect.stringContaining("there is no key"),
      requestPrincipal: "https://id.example/alice",
    });
  });

  test("ends when the grant ends that let it in", async () => {
    await apply(grantUntil(Date.now() + 3_600_000));
    const open = openWebSocket(null);
    await eventually(() => open.text().includes(" 101 "));
    await echoes(open, "one");
    const since = Date.now();
    await apply(grantUntil(since + 5_000));
    await eventually(() => open.isOver(), PATIENCE_MS);
    expect(Date.now()).toBeGreaterThanOrEqual(since + 5_000);
    expect(await lost(since)).toMatchObject({ verdict: "denied", status: 101 });
    const after = openWebSocket(null);
    await eventually(() => after.text().includes("\r\n\r\n"));
    expect(after.text()).toMatch(/^HTTP\/1\.1 403 /);
    after.socket.destroy();
  });
});
