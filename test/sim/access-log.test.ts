import { describe, expect, it } from "vitest";
import { openSimMesh, say, type SimMesh } from "../support/sim-mesh.ts";
import { shopId } from "../support/test-authority.ts";
import { policy, policySetOf, WEB_MAY } from "../support/test-mesh.ts";

// Telemetry turns records off of what is let through; what is refused is recorded whatever it says.

const GET = "GET /x HTTP/1.1\r\nHost: orders\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const OFF = { isClientOn: false, isServerOn: false };

const setOf = (
  log: typeof OFF | null,
  policies: readonly object[] = [WEB_MAY],
  enforcement: "ENFORCE" | "AUDIT" = "ENFORCE",
) => policySetOf(policies, { enforcement }, "test-revision", [], null, log);

async function exchange(mesh: SimMesh, as: "web" | "reports" = "web"): Promise<void> {
  const before = mesh.ordersApp.length;
  await mesh.callAs(mesh.authority.issue(shopId(as)), mesh.ordersInbound, { text: GET });
  const app = mesh.ordersApp[before] ?? mesh.ordersApp[0];
  if (app !== undefined) say(app, OK);
  await mesh.settle();
}

describe("with access logging off", () => {
  it("what is let through leaves no record, and is counted all the same", async () => {
    const mesh = await openSimMesh({ policy: setOf(OFF) });
    await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(mesh.flows()).toEqual([]);
    const families = [...mesh.orders.metrics.families("text")];
    const requests = families.find(({ name }) => name === "istio_requests_total");
    expect([...(requests?.samples ?? [])]).toEqual([expect.stringMatching(/response_code="200".* 1$/)]);
  });

  it("a denied request is recorded", async () => {
    const mesh = await openSimMesh({ policy: setOf(OFF) });
    await exchange(mesh, "reports");
    expect(mesh.flows()).toMatchObject([{ verdict: "denied", reason: "no-allow-rule-matched" }]);
  });

  it("a denied connection is recorded, and one that proved nothing", async () => {
    const mesh = await openSimMesh({ policy: setOf(OFF) });
    const reports = mesh.authority.issue(shopId("reports"));
    await mesh.callAs(reports, mesh.ledgerInbound, { text: "BALANCE\n", alpn: ["istio"] });
    await mesh.call(mesh.ordersInbound, GET);
    expect(mesh.flows()).toMatchObject([
      { verdict: "denied", protocol: "tcp" },
      { verdict: "denied", reason: "plaintext-refused" },
    ]);
  });

  it("what would be denied is recorded in AUDIT", async () => {
    const mesh = await openSimMesh({ policy: setOf(OFF, [WEB_MAY], "AUDIT") });
    await exchange(mesh, "reports");
    expect(mesh.flows()).toMatchObject([{ verdict: "would-deny" }]);
  });

  it("what an AUDIT policy marks, or a dry run would deny, is recorded", async () => {
    const watch = policy("watch", { action: "AUDIT", rules: [{}] });
    const mesh = await openSimMesh({ policy: setOf(OFF, [WEB_MAY, watch]) });
    await exchange(mesh);
    expect(mesh.orders.flows).toMatchObject([{ verdict: "allowed", auditedBy: "shop/watch#0" }]);
  });

  it("a permission that is lost is recorded", async () => {
    const mesh = await openSimMesh({ policy: setOf(OFF) });
    await mesh.callAs(mesh.authority.issue(shopId("web")), mesh.ordersInbound, { text: GET });
    mesh.orders.policy.set(setOf(OFF, []));
    await mesh.settle();
    expect(mesh.orders.flows).toMatchObject([{ verdict: "denied", reason: "permission-lost" }]);
  });
});

describe("access logging is decided by each set", () => {
  it("on and off, from the next record on", async () => {
    const mesh = await openSimMesh({ policy: setOf(OFF) });
    await exchange(mesh);
    mesh.orders.policy.set(setOf(null));
    await exchange(mesh);
    mesh.orders.policy.set(setOf(OFF));
    await exchange(mesh);
    expect(mesh.orders.flows).toHaveLength(1);
  });

  it.each([
    [{ isClientOn: true, isServerOn: false }, ["source"]],
    [{ isClientOn: false, isServerOn: true }, ["destination"]],
  ])("for the caller's side and the called one's apart: %j", async (log, reporters) => {
    const mesh = await openSimMesh({ policy: setOf(log) });
    await mesh.call(mesh.toOrders, GET);
    say(mesh.ordersApp[0]!, OK);
    await mesh.settle();
    expect(mesh.flows().map(({ reporter }) => reporter)).toEqual(reporters);
  });
});
