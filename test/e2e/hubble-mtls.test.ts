import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFlowStore, type OpenFlowStore, startStoreThread } from "../../src/control/flows/open-store.ts";
import type { GrpcServer } from "../../src/control/grpc-server.ts";
import { openHubble } from "../../src/control/hubble/open-hubble.ts";
import { createLatest } from "../../src/core/latest.ts";
import { parseSpiffeId, parseTrustDomain } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { listenTls } from "../../src/io/tls-listener.ts";
import { encodePrivateKey, generateKeyPair } from "../../src/pki/keys.ts";
import { encodePem } from "../../src/pki/pem.ts";
import { flowsRequest } from "../support/flows-request.ts";
import { runProgram } from "../support/programs.ts";
import { PAYMENTS, sampleFlow, WEB } from "../support/sample-flow.ts";
import { startTestControl, type TestControl, testRandom } from "../support/test-control.ts";

// Hubble's own command line beyond loopback: it checks our certificate, and shows one of its own.

const HUBBLE = process.env["HUBBLE"] ?? "";
const NAME = "hubble.cardea.test";

describe.skipIf(HUBBLE === "")("hubble with a certificate (needs HUBBLE, the path of its command line)", () => {
  let directory: string;
  let control: TestControl;
  let store: OpenFlowStore;
  let server: GrpcServer;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "cardea-hubble-"));
    control = await startTestControl();
    const { authority, bundles, log: logger } = control;
    const ports = { clock: systemClock, random: testRandom, logger, listenTls };
    const limits = { directory, retentionMs: 1e12, bytesMax: 1e9 };
    store = await openFlowStore(limits, { logger, clock: systemClock, start: startStoreThread });
    const bank = { namespace: "bank", principal: "spiffe://cluster.local/ns/bank/sa/vault" };
    const timeMs = Date.now() - 1_000;
    const inShop = sampleFlow({ id: "0000000000000001", timeMs });
    const inBank = sampleFlow({
      id: "0000000000000002",
      timeMs,
      source: { ...WEB, ...bank },
      destination: { ...PAYMENTS, ...bank },
    });
    await store.export(Buffer.from(flowsRequest([inShop])), parseSpiffeId(PAYMENTS.principal!));
    await store.export(Buffer.from(flowsRequest([inBank])), parseSpiffeId(bank.principal));
    const mesh = { trustDomain: parseTrustDomain("cluster.local"), rootNamespace: "cardea-system" };
    server = await openHubble({
      config: { listen: { host: "0.0.0.0", port: 0 }, dnsNames: [NAME] },
      queries: store,
      name: "local",
      mesh,
      version: "0.1.0",
      storeBytesMax: 1e9,
      authority,
      bundles: createLatest(bundles),
      ...ports,
    });
    writeFileSync(join(directory, "root.pem"), authority.bundle.pem);
  });

  afterAll(async () => {
    await server.close(0);
    await store.close();
    await control.close();
    rmSync(directory, { recursive: true });
  });

  /** Writes a certificate of the mesh for a workload, and says how it is shown. */
  async function asWorkload(spiffeId: string): Promise<readonly string[]> {
    const keys = generateKeyPair();
    const id = parseSpiffeId(spiffeId);
    const { chainDer } = await control.issue({ spiffeId: id, publicKey: keys.publicKey, ttlSec: 0 });
    const [chain, key] = [join(directory, "own.pem"), join(directory, "own.key")];
    writeFileSync(chain, chainDer.map((der) => encodePem("CERTIFICATE", der)).join(""));
    writeFileSync(key, encodePrivateKey(keys.privateKey), { mode: 0o600 });
    return ["--tls-client-cert-file", chain, "--tls-client-key-file", key];
  }

  async function observe(...words: readonly string[]) {
    const tls = ["--tls", "--tls-ca-cert-files", join(directory, "root.pem"), "--tls-server-name", NAME];
    const at = ["--server", `127.0.0.1:${server.address.port}`, "--timeout", "20s"];
    const { code, stdout, stderr } = await runProgram(HUBBLE, [
      "observe",
      "--all",
      "-o",
      "json",
      ...at,
      ...tls,
      ...words,
    ]);
    const lines = stdout.split("\n").filter((line) => line !== "");
    const ids = lines.map((line) => (JSON.parse(line) as { readonly flow: { readonly uuid: string } }).flow.uuid);
    return { code, ids, stderr };
  }

  test.each([
    ["spiffe://cluster.local/ns/shop/sa/web", ["0000000000000001"]],
    ["spiffe://cluster.local/ns/bank/sa/auditor", ["0000000000000002"]],
    ["spiffe://cluster.local/ns/staff/sa/web", []],
    ["spiffe://cluster.local/ns/cardea-system/sa/operator", ["0000000000000001", "0000000000000002"]],
  ])("%s reads what its namespace takes part in", async (spiffeId, ids) => {
    expect(await observe(...(await asWorkload(spiffeId)))).toEqual({ code: 0, ids, stderr: "" });
  });

  test("a reader of one namespace gets no other's flow by its id", async () => {
    const own = await asWorkload("spiffe://cluster.local/ns/shop/sa/web");
    expect(await observe(...own, "--uuid", "0000000000000002")).toEqual({ code: 0, ids: [], stderr: "" });
  });

  test("without a certificate nothing is read", async () => {
    const { code, ids, stderr } = await observe();
    expect({ isFine: code === 0, ids }).toEqual({ isFine: false, ids: [] });
    expect(stderr).toContain("certificate of the mesh");
  });
});
