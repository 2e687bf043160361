import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  GET_FLOWS_REQUEST,
  GET_FLOWS_RESPONSE,
  GET_NAMESPACES_RESPONSE,
  GET_NODES_RESPONSE,
  OBSERVER_API,
  SERVER_STATUS_RESPONSE,
} from "../../../../src/api/hubble-messages.ts";
import { openFlowStore, type OpenFlowStore, startStoreThread } from "../../../../src/control/flows/open-store.ts";
import type { GrpcServer } from "../../../../src/control/grpc-server.ts";
import { isLoopback, openHubble, type HubbleOptions } from "../../../../src/control/hubble/open-hubble.ts";
import { namespacesOf } from "../../../../src/control/hubble/readers.ts";
import { FLOW_LIMITS } from "../../../../src/core/flow-limits.ts";
import { createLatest } from "../../../../src/core/latest.ts";
import type { Address, TlsMaterial } from "../../../../src/core/ports.ts";
import { parseSpiffeId, parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { systemClock } from "../../../../src/io/clock.ts";
import { listenTls } from "../../../../src/io/tls-listener.ts";
import { encodePrivateKey, generateKeyPair } from "../../../../src/pki/keys.ts";
import { encodePem } from "../../../../src/pki/pem.ts";
import { flowsRequest } from "../../../support/flows-request.ts";
import { PAYMENTS, sampleFlow, WEB } from "../../../support/sample-flow.ts";
import { createTestAuthority } from "../../../support/test-authority.ts";
import { startTestControl, type TestControl, testRandom } from "../../../support/test-control.ts";

const MESH = { trustDomain: parseTrustDomain("cluster.local"), rootNamespace: "cardea-system" };
const NAME = "hubble.cardea.test";

let directory: string;
let store: OpenFlowStore;
let control: TestControl;
const servers: GrpcServer[] = [];

const TELLER = { ...WEB, namespace: "bank", workload: "teller", principal: "spiffe://cluster.local/ns/bank/sa/teller" };
const VAULT = {
  ...PAYMENTS,
  namespace: "bank",
  workload: "vault",
  principal: "spiffe://cluster.local/ns/bank/sa/vault",
};

beforeAll(async () => {
  control = await startTestControl();
  directory = mkdtempSync(join(tmpdir(), "cardea-hubble-"));
  const ports = { logger: control.log, clock: systemClock, start: startStoreThread };
  store = await openFlowStore({ directory, retentionMs: 1e12, bytesMax: 1e9 }, ports);
  const timeMs = Date.now() - 1_000;
  const inShop = sampleFlow({ id: "0000000000000001", timeMs });
  const inBank = sampleFlow({ id: "0000000000000002", timeMs, source: TELLER, destination: VAULT });
  await store.export(Buffer.from(flowsRequest([inShop])), parseSpiffeId(PAYMENTS.principal!));
  await store.export(Buffer.from(flowsRequest([inBank])), parseSpiffeId(VAULT.principal));
});

afterAll(async () => {
  for (const server of servers) await server.close(0);
  await store.close();
  await control.close();
  rmSync(directory, { recursive: true });
});

async function open(config: HubbleOptions["config"]): Promise<GrpcServer> {
  const { authority, bundles, log: logger } = control;
  const about = { queries: store, name: "local", mesh: MESH, version: "0.1.0", storeBytesMax: 1e9 };
  const ports = { clock: systemClock, random: testRandom, logger, listenTls };
  const server = await openHubble({ config, ...about, ...ports, authority, bundles: createLatest(bundles) });
  servers.push(server);
  return server;
}

/** A certificate of the mesh's own authority. */
async function certificateOf(spiffeId: string): Promise<TlsMaterial> {
  const keys = generateKeyPair();
  const { chainDer } = await control.issue({ spiffeId: parseSpiffeId(spiffeId), publicKey: keys.publicKey, ttlSec: 0 });
  const chainPem = chainDer.map((der) => encodePem("CERTIFICATE", der)).join("");
  return { chainPem, keyPem: encodePrivateKey(keys.privateKey) };
}

interface Caller {
  readonly at: Address;
  /** Null: no certificate. Left out: no TLS. */
  readonly own?: TlsMaterial | null;
}

function clientOf({ at, own }: Caller): Client {
  const roots = Buffer.from(control.authority.bundle.pem);
  const [key, chain] = own == null ? [null, null] : [Buffer.from(own.keyPem), Buffer.from(own.chainPem)];
  const how = own === undefined ? credentials.createInsecure() : credentials.createSsl(roots, key, chain);
  // The name is checked as every client checks it.
  return new Client(`${at.host}:${at.port}`, how, { "grpc.ssl_target_name_override": NAME });
}

type Outcome<Message> = { readonly messages: readonly Message[] } | { readonly code: status; readonly details: string };

function call<Message>(
  caller: Caller,
  path: string,
  request: Buffer,
  read: (bytes: Buffer) => Message,
): Promise<Outcome<Message>> {
  const client = clientOf(caller);
  const messages: Message[] = [];
  return new Promise((resolve) => {
    const options = { deadline: Date.now() + 10_000 };
    const stream = client.makeServerStreamRequest(
      path,
      (bytes: Buffer) => bytes,
      read,
      request,
      new Metadata(),
      options,
    );
    stream.on("data", (message: Message) => messages.push(message));
    stream.on("error", ({ code, details }: ServiceError) => {
      client.close();
      resolve({ code, details });
    });
    stream.on("end", () => {
      client.close();
      resolve({ messages });
    });
  });
}

const EVERYTHING = GET_FLOWS_REQUEST.serialize({ number: -1 });

async function idsFor(caller: Caller): Promise<readonly string[] | status> {
  const outcome = await call(caller, OBSERVER_API.getFlows, EVERYTHING, (bytes) =>
    GET_FLOWS_RESPONSE.deserialize(bytes),
  );
  return "code" in outcome ? outcome.code : outcome.messages.map(({ flow }) => flow!.uuid);
}

describe("on loopback", () => {
  let at: Address;
  beforeAll(async () => {
    ({ address: at } = await open({ listen: { host: "127.0.0.1", port: 0 }, dnsNames: [] }));
  });

  test("everybody reads everything, without a certificate", async () => {
    expect(await idsFor({ at })).toEqual(["0000000000000001", "0000000000000002"]);
  });

  test("the status counts what is stored", async () => {
    const outcome = await call({ at }, OBSERVER_API.serverStatus, Buffer.alloc(0), (bytes) =>
      SERVER_STATUS_RESPONSE.deserialize(bytes),
    );
    expect(outcome).toMatchObject({
      messages: [{ numFlows: 2, seenFlows: 2, version: "cardea 0.1.0", numConnectedNodes: { value: 1 } }],
    });
  });

  test("the control plane is the only node", async () => {
    const outcome = await call({ at }, OBSERVER_API.getNodes, Buffer.alloc(0), (bytes) =>
      GET_NODES_RESPONSE.deserialize(bytes),
    );
    const node = {
      name: "local/cardea-control",
      state: "NODE_CONNECTED",
      address: `127.0.0.1:${at.port}`,
      numFlows: 2,
    };
    expect(outcome).toMatchObject({ messages: [{ nodes: [{ ...node, tls: { enabled: false } }] }] });
  });

  test.each([
    [OBSERVER_API.getAgentEvents, status.UNIMPLEMENTED, "GetAgentEvents"],
    [OBSERVER_API.getDebugEvents, status.UNIMPLEMENTED, "GetDebugEvents"],
    ["/observer.Observer/SetEverything", status.UNIMPLEMENTED, "SetEverything"],
    ["/peer.Peer/Notify", status.UNIMPLEMENTED, "Notify"],
  ])("%s is answered by name: it is not there", async (path, code, name) => {
    const outcome = await call({ at }, path, Buffer.alloc(0), (bytes) => bytes);
    expect(outcome).toMatchObject({ code, details: expect.stringContaining(name) as string });
  });

  test.each([
    ["that is no protobuf", Buffer.from([0xff])],
    ["with a filter that nobody here can answer", Buffer.from([0x32, 0x04, 0x92, 0x01, 0x01, 0x78])],
  ])("a request %s is refused in words", async (_name, request) => {
    const outcome = await call({ at }, OBSERVER_API.getFlows, request, (bytes) => bytes);
    expect(outcome).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.not.stringMatching(/^$/) as string,
    });
  });

  test("a request that is too long is refused", async () => {
    const long = Buffer.alloc(FLOW_LIMITS.hubbleRequestBytesMax + 1);
    expect(await call({ at }, OBSERVER_API.getFlows, long, (bytes) => bytes)).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
  });

  test("readers beyond the limit are refused, and let in once others have left", async () => {
    const follow = GET_FLOWS_REQUEST.serialize({ follow: true, number: 1 });
    const clients = Array.from({ length: FLOW_LIMITS.hubbleStreamsMax }, () => clientOf({ at }));
    const streams = clients.map((client) =>
      client.makeServerStreamRequest(
        OBSERVER_API.getFlows,
        (bytes: Buffer) => bytes,
        (bytes) => bytes,
        follow,
        new Metadata(),
      ),
    );
    await Promise.all(
      streams.map((stream) => {
        stream.on("error", () => {});
        return new Promise((resolve) => stream.once("data", resolve));
      }),
    );
    expect(await idsFor({ at })).toBe(status.RESOURCE_EXHAUSTED);
    for (const stream of streams) stream.cancel();
    await expect.poll(() => idsFor({ at })).toHaveLength(2);
    for (const client of clients) client.close();
  });
});

describe("beyond loopback", () => {
  let at: Address;
  beforeAll(async () => {
    // All addresses, loopback among them: it is not loopback alone, so callers must say who they are.
    const { address } = await open({ listen: { host: "0.0.0.0", port: 0 }, dnsNames: [NAME] });
    at = { host: "127.0.0.1", port: address.port };
  });

  test.each([
    ["spiffe://cluster.local/ns/shop/sa/web", ["0000000000000001"]],
    ["spiffe://cluster.local/ns/bank/sa/anybody", ["0000000000000002"]],
    ["spiffe://cluster.local/ns/staff/sa/web", []],
    ["spiffe://cluster.local/ns/shop2/sa/web", []],
    ["spiffe://cluster.local/ns/cardea-system/sa/cardea-control", ["0000000000000001", "0000000000000002"]],
  ])("%s reads the flows of its own namespace", async (spiffeId, ids) => {
    expect(await idsFor({ at, own: await certificateOf(spiffeId) })).toEqual(ids);
  });

  test("without a certificate nothing is read", async () => {
    expect(await idsFor({ at, own: null })).toBe(status.UNAUTHENTICATED);
    for (const path of [OBSERVER_API.serverStatus, OBSERVER_API.getNodes, OBSERVER_API.getNamespaces])
      expect(await call({ at, own: null }, path, Buffer.alloc(0), (bytes) => bytes)).toMatchObject({
        code: status.UNAUTHENTICATED,
      });
  });

  test("without TLS nothing is read", async () => {
    expect(await idsFor({ at })).toBe(status.UNAVAILABLE);
  });

  test("a certificate of somebody else's authority is refused", async () => {
    const { material } = createTestAuthority().issue("spiffe://cluster.local/ns/shop/sa/web");
    expect(await idsFor({ at, own: material })).toBe(status.UNAVAILABLE);
  });

  test("counts and names of others' namespaces are not told either", async () => {
    const own = await certificateOf("spiffe://cluster.local/ns/shop/sa/web");
    const none = Buffer.alloc(0);
    expect(
      await call({ at, own }, OBSERVER_API.serverStatus, none, (bytes) => SERVER_STATUS_RESPONSE.deserialize(bytes)),
    ).toMatchObject({ messages: [{ numFlows: 1, seenFlows: 1 }] });
    expect(
      await call({ at, own }, OBSERVER_API.getNodes, none, (bytes) => GET_NODES_RESPONSE.deserialize(bytes)),
    ).toMatchObject({ messages: [{ nodes: [{ numFlows: 1, tls: { enabled: true } }] }] });
    expect(
      await call({ at, own }, OBSERVER_API.getNamespaces, none, (bytes) => GET_NAMESPACES_RESPONSE.deserialize(bytes)),
    ).toEqual({ messages: [{ namespaces: [{ cluster: "local", namespace: "shop" }] }] });
  });

  test("without a name for its certificate it does not open", async () => {
    await expect(open({ listen: { host: "0.0.0.0", port: 0 }, dnsNames: [] })).rejects.toMatchObject({
      code: "bad-input",
    });
  });
});

test.each([
  ["127.0.0.1", true],
  ["127.9.9.9", true],
  ["::1", true],
  ["0.0.0.0", false],
  ["::", false],
  ["10.0.0.1", false],
  ["::ffff:10.0.0.1", false],
])("%s is loopback: %s", (host, expected) => {
  expect(isLoopback({ host })).toBe(expected);
});

test.each([
  [null, null],
  ["spiffe://other.local/ns/shop/sa/web", null],
  ["spiffe://other.local/ns/cardea-system/sa/web", null],
  ["spiffe://cluster.local/workload/7", null],
  ["spiffe://cluster.local/ns/shop/sa/web", new Set(["shop"])],
  ["spiffe://cluster.local/ns/cardea-system/sa/web", "all"],
] as const)("%s may read %s", (text, expected) => {
  expect(namespacesOf(text === null ? null : parseSpiffeId(text), MESH)).toEqual(expected);
});
