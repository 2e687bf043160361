import { writeFileSync } from "node:fs";
import { Agent, createServer, get, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { callHttp } from "../../src/io/http-client.ts";
import { allowPolicy, startCustomMesh } from "../support/custom-mesh.ts";
import { eventually, type TestMesh } from "../support/local-mesh.ts";

// A thousand requests are at the app, unanswered, while the policies change and every certificate is renewed three
// times. What is allowed before and after never fails; what is denied in both never passes.

const IN_FLIGHT = 1_000;
const ROTATIONS = 3;
/** Of each kind, after each change: those that come while the thousand are held. */
const QUICK = 50;
/** A thousand TLS handshakes take their time on two cores. */
const PATIENCE_MS = 60_000;

let mesh: TestMesh;
let app: Server;
const held: ServerResponse[] = [];
const reached = new Set<string>();

beforeAll(async () => {
  app = createServer((request, response) => {
    reached.add(request.url ?? "");
    if (request.url === "/held") held.push(response);
    else response.end("done\n");
  });
  await new Promise<void>((resolve) => void app.listen(0, "127.0.0.1", 4_096, resolve));
  const address = app.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const spec = `
services:
  - { name: friend, namespace: test }
  - { name: stranger, namespace: test }
  - { name: slow, namespace: test, ports: [{ port: 8080 }], app: { address: "127.0.0.1:${port}" } }
`;
  mesh = await startCustomMesh(spec, allowPolicy("slow", "slow", "friend"));
});
afterAll(async () => {
  await mesh.close();
  app.close();
});

test("1,000 requests in flight over a policy change and three certificate rotations: none fails, none slips through", async () => {
  const friend = openCaller("friend");
  const stranger = openCaller("stranger");
  const heldAnswers = friend.ask("/held", IN_FLIGHT);
  await eventually(() => held.length === IN_FLIGHT, PATIENCE_MS);

  const quick = [friend.ask("/quick", QUICK)];
  const denied = [stranger.ask("/never", QUICK)];
  const { revision } = (await mesh.status())!;
  writeFileSync(join(mesh.directory, "policies", "policies.yaml"), allowPolicy("slow-renamed", "slow", "friend"));
  await eventually(async () => {
    const status = await mesh.status();
    return status?.inSync === true && status.revision !== revision;
  }, PATIENCE_MS);

  for (let rotation = 0; rotation < ROTATIONS; rotation++) {
    quick.push(friend.ask("/quick", QUICK));
    denied.push(stranger.ask("/never", QUICK));
    await renewAll();
  }

  expect(held).toHaveLength(IN_FLIGHT);
  for (const response of held) response.end("done\n");
  expect(statusesOf(await heldAnswers)).toEqual({ 200: IN_FLIGHT });
  expect(statusesOf((await Promise.all(quick)).flat())).toEqual({ 200: (ROTATIONS + 1) * QUICK });
  expect(statusesOf((await Promise.all(denied)).flat())).toEqual({ 403: (ROTATIONS + 1) * QUICK });
  expect([...reached].toSorted()).toEqual(["/held", "/quick"]);
  friend.close();
  stranger.close();
}, 180_000);

/** Has every sidecar renew its certificate now, and waits until each has another one. */
async function renewAll(): Promise<void> {
  const before = await readSerials();
  for (const service of mesh.run().services) process.kill(service.sidecar!.pid, "SIGUSR2");
  await eventually(async () => (await readSerials()).every((serial, i) => serial !== before[i]), PATIENCE_MS);
}

function readSerials(): Promise<readonly string[]> {
  return Promise.all(
    mesh.run().services.map(async ({ admin }) => {
      const { body } = await callHttp(admin, { path: "/status", timeoutMs: PATIENCE_MS });
      return (JSON.parse(body) as { certificate: { serial: string } }).certificate.serial;
    }),
  );
}

interface Caller {
  /** So many requests at once; gives their statuses, 0 for one that failed. */
  ask(path: string, count: number): Promise<readonly number[]>;
  close(): void;
}

function openCaller(from: string): Caller {
  const { outbound } = mesh.service(from);
  const agent = new Agent({ keepAlive: true });

  function askOne(path: string): Promise<number> {
    return new Promise((resolve) => {
      const options = { agent, host: outbound.host, port: outbound.port, path: `http://slow:8080${path}` };
      const request = get({ ...options, headers: { host: "slow:8080" } }, (response) => {
        response.resume();
        response.once("end", () => resolve(response.statusCode ?? 0));
        response.once("error", () => resolve(0));
      });
      request.once("error", () => resolve(0));
    });
  }

  return {
    ask: (path, count) => Promise.all(Array.from({ length: count }, () => askOne(path))),
    close: () => agent.destroy(),
  };
}

function statusesOf(statuses: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
