import { Agent, request } from "node:https";
import type { TLSSocket } from "node:tls";
import { afterEach, expect, test } from "vitest";
import { holdServerCertificate } from "../../../../src/control/ca/server-certificate.ts";
import { openAuthority } from "../../../../src/control/ca/authority.ts";
import type { Listening } from "../../../../src/core/ports.ts";
import { parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { systemClock } from "../../../../src/io/clock.ts";
import { openHttpsServer } from "../../../../src/io/https-server.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryStateFiles } from "../../../support/memory-state-files.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { testRandom } from "../../../support/test-control.ts";

// The webhooks' certificate before callers who look at the real time, while the one who issues it is moved through its life.

const HOUR_MS = 3_600_000;
const opened: { close(): Promise<void> | void }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close();
});

/** As it was so long ago. */
async function open(hoursAgo: number) {
  const clock = createSimulatedClock(Date.now() - hoursAgo * HOUR_MS);
  const common = { clock, random: testRandom, logger: createKeptLog() };
  const trustDomain = parseTrustDomain("cluster.local");
  const authority = await openAuthority({ ...common, files: createMemoryStateFiles(), trustDomain });
  const certificate = await holdServerCertificate({ ...common, authority, dnsNames: ["localhost"] });
  const listening = await openHttpsServer({
    listen: { host: "127.0.0.1", port: 0 },
    material: certificate.material,
    routes: [{ path: "/", answer: async () => ({ status: 200, contentType: "application/json", body: "{}" }) }],
    bodyBytesMax: 1_000,
    heldBytesMax: 100_000,
    waitMsMax: 10_000,
    clock: systemClock,
  });
  opened.push(listening, certificate);
  return { clock, listening, ca: authority.bundle.pem };
}

/** The serial number of the certificate that answered. Rejects when the caller does not take it. */
function ask({ address }: Listening, ca: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const options = { ...address, path: "/", method: "POST", servername: "localhost", ca, agent, headers };
    const call = request(options, (response) => {
      const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate();
      response.resume().once("end", () => resolve(serialNumber));
    });
    call.once("error", reject);
    call.end("{}");
  });
}

test("it is renewed under load, and no review fails: open connections go on, new ones see the new one", async () => {
  const { clock, listening, ca } = await open(12);
  const agents = [new Agent({ keepAlive: true, maxSockets: 4 }), new Agent({ keepAlive: false })];
  opened.push({ close: () => agents.forEach((agent) => agent.destroy()) });
  const serials = new Map<string, number>();
  const caller = async (agent: Agent): Promise<void> => {
    for (let round = 0; round < 20; round += 1) {
      if (round === 10) await renewed;
      const serial = await ask(listening, ca, agent);
      serials.set(serial, (serials.get(serial) ?? 0) + 1);
    }
  };
  const { promise: renewed, resolve: onRenewed } = Promise.withResolvers<void>();
  const callers = Promise.all([...agents, ...agents, ...agents].map(caller));
  await clock.advance(12 * HOUR_MS + 60_000);
  onRenewed();
  await callers;
  expect(serials.size).toBe(2);
  expect([...serials.values()].reduce((sum, count) => sum + count, 0)).toBe(120);
});

test("one that has ended is taken by nobody; the way back is its renewal alone", async () => {
  const { clock, listening, ca } = await open(25);
  const agent = new Agent({ keepAlive: false });
  await expect(ask(listening, ca, agent)).rejects.toMatchObject({ code: "CERT_HAS_EXPIRED" });
  await clock.advance(25 * HOUR_MS);
  await expect(ask(listening, ca, agent)).resolves.toBeDefined();
});

test("one of a clock that is ahead is taken by nobody yet; once the clock is right it is another one", async () => {
  const { clock, listening, ca } = await open(-2);
  const agent = new Agent({ keepAlive: false });
  await expect(ask(listening, ca, agent)).rejects.toMatchObject({ code: "CERT_NOT_YET_VALID" });
  clock.setWall(Date.now());
  await clock.advance(30_000);
  await expect(ask(listening, ca, agent)).resolves.toBeDefined();
});
