import { rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { readGoodPolicies } from "../../src/cli/policy-input.ts";
import type { Address } from "../../src/core/ports.ts";
import type { FlowRecord } from "../../src/observe/flow.ts";
import { type CurlAnswer, curl } from "../support/curl.ts";
import { eventually, startTestMesh, type TestMesh } from "../support/local-mesh.ts";

// A client without a sidecar is brought along: curl and a bare socket before the sample mesh, where payments listens.

const FILE = "peer.yaml";
const ALLOW_READING = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: reading, namespace: payments }
spec:
  rules: [{ to: [{ operation: { methods: [GET] } }] }]
---
`;

let mesh: TestMesh;
let payments: Address;
beforeAll(async () => {
  mesh = await startTestMesh();
  payments = mesh.service("payments").inbound[0]!.listen;
});
afterAll(() => mesh.close());
afterEach(async () => {
  rmSync(join(mesh.policies, FILE), { force: true });
  await inForce();
});

/** The documents beside the sample's own, once every sidecar has them. */
async function apply(...specs: readonly string[]): Promise<void> {
  const documents = specs.map(
    (spec, i) =>
      `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: peer-${i}, namespace: payments }\nspec: ${spec}\n`,
  );
  writeFileSync(join(mesh.policies, FILE), ALLOW_READING + documents.join("---\n"));
  await inForce();
}

async function inForce(): Promise<void> {
  const { revision } = await readGoodPolicies([mesh.policies]);
  await eventually(async () => {
    const status = await mesh.status();
    return status !== null && status.services.every((each) => each.revision === revision);
  }, 30_000);
}

function ask(...more: string[]): Promise<CurlAnswer> {
  return curl(...more, `http://${payments.host}:${payments.port}/payments`);
}

/** As orders' app does it, by its own sidecar. */
function payByMesh(): Promise<CurlAnswer> {
  const { host, port } = mesh.service("orders").outbound;
  const body = ["-H", "content-type: application/json", "-d", '{"order":"o-1","cents":1}'];
  return curl("-x", `http://${host}:${port}`, ...body, "http://payments.payments:8080/payments");
}

function atPayments(since: number, wanted: Partial<FlowRecord>): Promise<FlowRecord> {
  return eventually(
    () =>
      mesh.flows().find((flow) => {
        const isThere = flow.timeMs >= since && flow.reporter === "destination";
        const isPayments = flow.destination.workload === "payments";
        return (
          isThere && isPayments && Object.entries(wanted).every(([key, value]) => Reflect.get(flow, key) === value)
        );
      }) ?? null,
  );
}

/** A connection that has been answered once and is kept. */
async function kept(): Promise<Socket> {
  const socket = connect({ host: payments.host, port: payments.port });
  socket.write("GET /payments HTTP/1.1\r\nHost: payments\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  return socket;
}

describe("curl without TLS", () => {
  test("is refused where nobody says anything", async () => {
    const since = Date.now();
    expect(await ask()).toMatchObject({ status: 0, body: "" });
    expect(await atPayments(since, { reason: "plaintext-refused" })).toMatchObject({ verdict: "denied" });
  });

  test("gets under PERMISSIVE what nobody in particular may have, and no more", async () => {
    await apply("{ mtls: { mode: PERMISSIVE } }");
    const since = Date.now();
    expect((await ask()).status).toBeGreaterThanOrEqual(200);
    expect(await atPayments(since, { verdict: "allowed", method: "GET" })).toMatchObject({
      policy: "payments/reading",
      source: { principal: null },
      tls: { version: null },
    });
    const forged = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/orders";
    expect(await ask("-X", "POST", "-H", forged)).toMatchObject({ status: 403, body: "RBAC: access denied\n" });
    const answer = await payByMesh();
    expect(answer.status).toBe(201);
    expect(await atPayments(since, { verdict: "allowed", method: "POST" })).toMatchObject({
      source: { principal: "spiffe://cluster.local/ns/shop/sa/orders" },
      tls: { version: "TLSv1.3" },
    });
  });

  test("loses its connection when PERMISSIVE becomes STRICT, and orders keeps its own", async () => {
    await apply("{ mtls: { mode: PERMISSIVE } }");
    const socket = await kept();
    const over = new Promise((resolve) => socket.once("close", resolve));
    await apply("{ mtls: { mode: STRICT } }");
    await over;
    expect(await ask()).toMatchObject({ status: 0 });
    expect((await payByMesh()).status).toBe(201);
  });

  test("gets through on a port that is DISABLE by itself; orders, in plaintext as well, is nobody there", async () => {
    await apply(
      "{ selector: { matchLabels: { app: payments } }, mtls: { mode: STRICT }, portLevelMtls: { 8080: { mode: DISABLE } } }",
    );
    expect((await ask()).status).toBeGreaterThanOrEqual(200);
    const since = Date.now();
    await eventually(async () => (await payByMesh()).status === 403);
    expect(await atPayments(since, { verdict: "denied", method: "POST" })).toMatchObject({
      source: { principal: null },
      tls: { version: null },
    });
  });

  test("is refused on a port that is STRICT by itself", async () => {
    await apply(
      "{ mtls: { mode: PERMISSIVE } }",
      "{ selector: { matchLabels: { app: payments } }, portLevelMtls: { 8080: { mode: STRICT } } }",
    );
    expect(await ask()).toMatchObject({ status: 0, body: "" });
  });
});
