import { writeFileSync } from "node:fs";
import { Agent, createServer, get, type Server } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { callHttp } from "../../src/io/http-client.ts";
import { allowPolicy, startCustomMesh } from "../support/custom-mesh.ts";
import { eventually, type TestMesh } from "../support/local-mesh.ts";

// A thousand requests are on their way at any moment while the policies change and every certificate is renewed three
// times. What is allowed before and after never fails; what is denied in both never passes.

const IN_FLIGHT = 1_000;
/**
 * How long the app thinks. A connection ends with the certificates that made it, and takes no request in the last fifth
 * of its time: at least 1.6 s here, since a certificate is renewed when half of its own is left.
 */
const HELD_MS = 1_000;
const CERT_TTL_SEC = 16;
const ROTATIONS = 3;
/** For what takes half a certificate's life at most, on a machine that has a thousand other things to do. */
const PATIENCE_MS = 30_000;

let mesh: TestMesh;
let app: Server;

beforeAll(async () => {
  app = createServer((_, response) => {
    setTimeout(() => response.end("done\n"), HELD_MS);
  });
  // Ours are keep-alive connections of a sidecar, which are not to be cut after five seconds.
  app.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => void app.listen(0, "127.0.0.1", 4_096, resolve));
  const address = app.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const spec = `
workloadCertTtlSec: ${CERT_TTL_SEC}
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
  const load = startLoad("friend", IN_FLIGHT);
  const denied = startLoad("stranger", 20);
  await eventually(() => load.answered() >= IN_FLIGHT, PATIENCE_MS);
  const inFlightAt: number[] = [];

  inFlightAt.push(load.inFlight());
  const { revision } = (await mesh.status())!;
  writeFileSync(join(mesh.directory, "policies", "policies.yaml"), allowPolicy("slow-renamed", "slow", "friend"));
  await eventually(async () => {
    const status = await mesh.status();
    return status?.inSync === true && status.revision !== revision;
  }, PATIENCE_MS);

  for (let rotation = 0; rotation < ROTATIONS; rotation++) {
    const before = await serials();
    await eventually(async () => (await serials()).every((serial, i) => serial !== before[i]), PATIENCE_MS);
    inFlightAt.push(load.inFlight());
  }
  const [allowed, refused] = await Promise.all([load.stop(), denied.stop()]);
  process.stdout.write(`${allowed.get(200)} requests, in flight at each change: ${inFlightAt.join(", ")}\n`);
  expect(Math.min(...inFlightAt)).toBeGreaterThanOrEqual(IN_FLIGHT * 0.9);
  expect([...allowed.keys()], tellFailures()).toEqual([200]);
  expect([...refused.keys()]).toEqual([403]);
  expect(allowed.get(200)).toBeGreaterThan(IN_FLIGHT * 3);
}, 120_000);

/** Why requests of the friend failed, as the sidecars recorded it. */
function tellFailures(): string {
  const failed = mesh.flows().filter(({ verdict, source }) => verdict !== "allowed" && source.workload === "friend");
  const reasons = Object.groupBy(failed, ({ reporter, reason, detail }) => `${reporter} ${reason} ${detail}`);
  return JSON.stringify(Object.entries(reasons).map(([reason, flows]) => `${flows?.length} x ${reason}`));
}

/** What the sidecars' certificates are called now. */
function serials(): Promise<readonly string[]> {
  return Promise.all(
    ["friend", "slow"].map(async (name) => {
      const { body } = await callHttp(mesh.service(name).admin, { path: "/status", timeoutMs: 5_000 });
      return (JSON.parse(body) as { certificate: { serial: string } }).certificate.serial;
    }),
  );
}

interface Load {
  inFlight(): number;
  answered(): number;
  /** How often each status came; 0 stands for a request that failed. Resolves when the last answer is here. */
  stop(): Promise<ReadonlyMap<number, number>>;
}

/** So many callers of one service, each asking again as soon as it is answered. */
function startLoad(from: string, callers: number): Load {
  const { outbound } = mesh.service(from);
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  const seen = new Map<number, number>();
  const stopping = new AbortController();
  let inFlight = 0;
  let answered = 0;

  function ask(): Promise<number> {
    return new Promise((resolve) => {
      const options = {
        agent,
        host: outbound.host,
        port: outbound.port,
        path: "http://slow:8080/",
        headers: { host: "slow:8080" },
      };
      const request = get(options, (response) => {
        response.resume();
        response.once("end", () => resolve(response.statusCode ?? 0));
        response.once("error", () => resolve(0));
      });
      request.once("error", () => resolve(0));
    });
  }

  async function keepAsking(): Promise<void> {
    while (!stopping.signal.aborted) {
      inFlight += 1;
      const status = await ask();
      inFlight -= 1;
      answered += 1;
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }
  }

  const asking = Promise.all(Array.from({ length: callers }, keepAsking));
  return {
    inFlight: () => inFlight,
    answered: () => answered,
    async stop() {
      stopping.abort();
      await asking;
      agent.destroy();
      return seen;
    },
  };
}
