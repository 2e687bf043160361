import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { APP_UID, callApp, MAIN, type Pod, SIDECAR_UID } from "../support/pod-network.ts";
import { type FlowLine, openPodMesh, type PodMesh, VIP, VIP6 } from "../support/pod-mesh.ts";
import { runProgram } from "../support/programs.ts";

// Apps that know nothing of the mesh, in network namespaces with redirect, sidecars and the real control plane between
// them: web may call orders, orders may call ledger, nobody may do anything else.

const POLICIES = [
  ["orders", "web"],
  ["ledger", "orders"],
]
  .map(
    ([called, caller]) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${called}, namespace: shop }
spec:
  selector: { matchLabels: { app: ${called} } }
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/${caller}"] } }] }]
`,
  )
  .join("---\n");

const isUsable =
  process.getuid?.() === 0 &&
  (
    await runProgram("unshare", [
      "--net",
      "sh",
      "-ec",
      "nft list tables; iptables-nft-save; iptables-legacy-save; setpriv --version; ip link",
    ])
  ).code === 0;
const NEEDS = isUsable ? "" : " (needs root, ip, setpriv, nft and both kinds of iptables)";

let mesh: PodMesh;
beforeAll(async () => {
  if (isUsable) mesh = await openPodMesh(POLICIES);
}, 120_000);
afterAll(() => mesh?.close());

/** Body and status of a GET by the app's user. */
async function get(pod: Pod, url: string, ...options: string[]): Promise<{ status: number; body: string }> {
  const { stdout } = await pod.run(APP_UID, "curl", "-sg", "-m", "8", "-w", "\n%{http_code}", ...options, url);
  const end = stdout.lastIndexOf("\n");
  return { status: Number(stdout.slice(end + 1)), body: stdout.slice(0, end) };
}

/** Waits until the sidecar has recorded that, after its first `before` records. */
function recorded(pod: Pod, before: number, { destination, ...facts }: Expected): Promise<void> {
  const wanted = {
    ...facts,
    ...(destination === undefined ? {} : { destination: expect.objectContaining(destination) as object }),
  };
  return vi.waitFor(() => expect(mesh.flows(pod).slice(before)).toContainEqual(expect.objectContaining(wanted)), {
    timeout: 10_000,
  });
}

interface Expected extends Partial<Omit<FlowLine, "destination">> {
  readonly destination?: Partial<FlowLine["destination"]>;
}

const count = (pod: Pod) => mesh.flows(pod).length;

describe.skipIf(!isUsable).each(["nft", "iptables-nft", "iptables-legacy"])(`redirected by %s${NEEDS}`, (backend) => {
  beforeAll(async () => {
    for (const pod of [mesh.web, mesh.orders, mesh.ledger]) {
      // What a pod has been told not to capture, for the exclusions below.
      const flags = ["--exclude-outbound-ports", "8099", "--exclude-inbound-ports", "8098"];
      const { code, stderr } = await pod.run(0, process.execPath, MAIN, "redirect", "--backend", backend, ...flags);
      expect({ code, stderr }).toMatchObject({ code: 0 });
    }
  }, 60_000);

  describe("what apps say to each other goes through both sidecars", () => {
    it("HTTP to a service's address, and on to the next", async () => {
      const next = encodeURIComponent(`http://${VIP.ledger}/balance`);
      const { status, body } = await get(mesh.web, `http://${VIP.orders}/via?url=${next}`);
      expect({ status, ...(JSON.parse(body) as object) }).toMatchObject({
        status: 200,
        name: "ledger",
        url: "/balance",
        host: VIP.ledger,
        caller: expect.stringContaining("URI=spiffe://cluster.local/ns/shop/sa/orders") as string,
      });
    });

    it("and the app sees it come from where only its sidecar dials", async () => {
      const { body } = await get(mesh.web, `http://${mesh.orders.ipv4}:8080/`);
      expect(JSON.parse(body)).toMatchObject({ name: "orders", from: "::ffff:127.0.0.6" });
    });

    it.each([
      ["a service's IPv6 address", () => `http://[${VIP6.orders}]/`],
      ["a workload's own address, as of a headless service", () => `http://${mesh.orders.ipv4}:8080/`],
      ["a workload's own IPv6 address", () => `http://[${mesh.orders.ipv6}]:8080/`],
    ])("HTTP to %s", async (_to, url) => {
      const { status, body } = await get(mesh.web, url());
      expect({ status, ...(JSON.parse(body) as object) }).toMatchObject({
        status: 200,
        name: "orders",
        caller: expect.stringContaining("URI=spiffe://cluster.local/ns/shop/sa/web") as string,
      });
    });

    it("whatever the Host field says", async () => {
      const { body } = await get(mesh.web, `http://${VIP.orders}/`, "-H", "Host: ledger.shop");
      expect(JSON.parse(body)).toMatchObject({ name: "orders", host: "ledger.shop" });
    });

    it("gRPC", async () => {
      expect(await callApp(mesh.web, APP_UID, "grpc", `${VIP.orders}:9090`, "hello")).toBe("hello");
    });

    it.each([
      ["raw TCP", () => VIP.orders],
      ["raw TCP over IPv6", () => VIP6.orders],
      ["raw TCP to a workload's own address", () => mesh.orders.ipv4],
    ])("%s", async (_what, host) => {
      const before = count(mesh.orders);
      expect(await callApp(mesh.web, APP_UID, "tcp", host(), "9000", "hello")).toBe("orders: hello");
      await recorded(mesh.orders, before, { verdict: "allowed", protocol: "tcp" });
    });

    it("a server that speaks first", async () => {
      expect(await callApp(mesh.web, APP_UID, "listen", VIP.orders, "9025")).toBe("220 orders");
    });

    it("and to one's own service, whose sidecar then decides as about any other caller", async () => {
      expect(await callApp(mesh.orders, APP_UID, "tcp", VIP.orders, "9000", "x")).toBe("ECONNRESET");
    });
  });

  describe("what is left alone", () => {
    it("loopback, and the pod itself", async () => {
      const before = count(mesh.orders);
      expect((await get(mesh.orders, "http://127.0.0.1:8081/")).body).toBe("admin page\n");
      expect(JSON.parse((await get(mesh.orders, `http://${mesh.orders.ipv4}:8080/`)).body)).toMatchObject({
        from: `::ffff:${mesh.orders.ipv4}`,
      });
      expect(await callApp(mesh.orders, APP_UID, "tcp", mesh.orders.ipv6, "53", "x")).toBe("orders: x");
      const own = mesh
        .flows(mesh.orders)
        .slice(before)
        .filter(({ source }) => source.ip === mesh.orders.ipv4);
      expect(own.filter(({ destination }) => destination.port !== 9_000)).toEqual([]);
    });

    it("DNS, over TCP as well", async () => {
      expect(await callApp(mesh.web, APP_UID, "tcp", mesh.outside.ipv4, "53", "x")).toBe("outside: x");
    });

    it("excluded ports, both ways", async () => {
      // Nobody listens there: it is the far kernel that says so, and not a sidecar that closes.
      expect(await callApp(mesh.web, APP_UID, "tcp", mesh.outside.ipv4, "8099", "x")).toBe("ECONNREFUSED");
      expect(await callApp(mesh.outside, APP_UID, "tcp", mesh.orders.ipv4, "8098", "x")).toBe("ECONNREFUSED");
      const ports = [mesh.web, mesh.orders].flatMap((pod) =>
        mesh.flows(pod).map(({ destination }) => destination.port),
      );
      expect(ports.filter((port) => port === 8_098 || port === 8_099)).toEqual([]);
    });

    it("the sidecar's own user, and what the kubelet asks of the sidecar", async () => {
      expect(await callApp(mesh.web, SIDECAR_UID, "tcp", mesh.outside.ipv4, "9000", "x")).toBe("outside: x");
      const ready = await get(mesh.outside, `http://${mesh.orders.ipv4}:15021/healthz/ready`);
      expect(ready.status).toBe(200);
    });
  });

  describe("what is refused, with a record", () => {
    it.each([
      ["a host that the mesh does not know", () => mesh.outside.ipv4, 9_000, "no-route"],
      ["the same over IPv6", () => mesh.outside.ipv6, 9_000, "no-route"],
      ["a port that a service does not have", () => VIP.orders, 81, "no-route"],
      ["another sidecar's HBONE port", () => mesh.orders.ipv4, 15_008, "loop-refused"],
      ["another sidecar's inbound port", () => mesh.orders.ipv4, 15_006, "loop-refused"],
    ])("going out to %s", async (_to, host, port, reason) => {
      const before = count(mesh.web);
      expect(await callApp(mesh.web, APP_UID, "tcp", host(), String(port), "x")).toBe("ECONNRESET");
      await recorded(mesh.web, before, { verdict: "error", reason, destination: { port } });
    });

    it.each([[15_001], [15_006]])("dialling the sidecar's port %i from within the pod", async (port) => {
      const before = count(mesh.web);
      expect(await callApp(mesh.web, APP_UID, "tcp", "127.0.0.1", String(port), "x")).toBe("ECONNRESET");
      expect(await callApp(mesh.web, APP_UID, "tcp", mesh.web.ipv6, String(port), "x")).toBe("ECONNRESET");
      await vi.waitFor(() => {
        const refused = mesh
          .flows(mesh.web)
          .slice(before)
          .filter(({ reason }) => reason === "loop-refused");
        expect(refused).toHaveLength(2);
      }, 10_000);
    });

    it.each([[15_000], [15_001], [15_002], [15_006]])("our port %i, from outside", async (port) => {
      const before = count(mesh.orders);
      expect(await callApp(mesh.outside, APP_UID, "tcp", mesh.orders.ipv4, String(port), "x")).toBe("ECONNRESET");
      await recorded(mesh.orders, before, { reason: "loop-refused" });
    });

    it.each([
      ["a declared port", 8_080],
      ["a port of TCP", 9_000],
      ["a port that nobody declares", 5_555],
    ])("plaintext from outside to %s", async (_to, port) => {
      const before = count(mesh.orders);
      expect(
        await callApp(mesh.outside, APP_UID, "tcp", mesh.orders.ipv4, String(port), "GET / HTTP/1.1\r\n\r\n"),
      ).toBe("ECONNRESET");
      await recorded(mesh.orders, before, {
        verdict: "denied",
        reason: "plaintext-refused",
        destination: { ip: mesh.orders.ipv4, port },
      });
    });

    it("plaintext from outside over IPv6", async () => {
      expect(await callApp(mesh.outside, APP_UID, "tcp", mesh.orders.ipv6, "9000", "hello")).toBe("ECONNRESET");
    });

    it("mutual TLS by somebody with no identity, to the port itself and to HBONE's", async () => {
      for (const port of [8_080, 15_008]) {
        const before = count(mesh.orders);
        expect((await get(mesh.outside, `https://${mesh.orders.ipv4}:${port}/`, "-k")).status).toBe(0);
        await recorded(mesh.orders, before, { verdict: "denied" });
      }
    });

    it("an address of somebody else that was routed to us", async () => {
      const away = "10.77.9.9";
      await mesh.outside.run(0, "ip", "route", "replace", `${away}/32`, "via", mesh.orders.ipv4);
      const before = count(mesh.orders);
      expect(await callApp(mesh.outside, APP_UID, "tcp", away, "8080", "x")).toBe("ECONNRESET");
      await recorded(mesh.orders, before, { reason: "no-route", destination: { port: 8_080 } });
    });

    it("what the app keeps to loopback stays there", async () => {
      // orders' sidecar lets web in, and the app does not listen at the pod's address.
      expect((await get(mesh.web, `http://${mesh.orders.ipv4}:8081/`)).status).not.toBe(200);
    });
  });

  describe("a breached web", () => {
    it.each<[string, () => string, ...string[]]>([
      ["by ledger's service", () => `http://${VIP.ledger}/`],
      ["by ledger's own address", () => `http://${mesh.ledger.ipv4}:8080/`],
      ["by ledger's own IPv6 address", () => `http://[${mesh.ledger.ipv6}]:8080/`],
      ["under another name", () => `http://${VIP.ledger}/`, "-H", "Host: orders.shop"],
    ])("is denied by ledger's sidecar: %s", async (_how, url, ...options) => {
      const before = count(mesh.ledger);
      expect((await get(mesh.web, url(), ...options)).status).toBe(403);
      await recorded(mesh.ledger, before, { verdict: "denied" });
    });

    it.each([
      ["tcp", "9000"],
      ["listen", "9025"],
    ])("over raw TCP, %s %s", async (role, port) => {
      const before = count(mesh.ledger);
      expect(await callApp(mesh.web, APP_UID, role, VIP.ledger, port, "x")).toBe("ECONNRESET");
      await recorded(mesh.ledger, before, { verdict: "denied" });
    });

    it("over gRPC", async () => {
      expect(await callApp(mesh.web, APP_UID, "grpc", `${VIP.ledger}:9090`, "hello")).toBe("status 7");
    });

    it.each([[8_080], [9_000], [9_090], [22]])(
      "as the sidecar's user it gets past its own sidecar, and not past ledger's: port %i",
      async (port) => {
        const before = count(mesh.ledger);
        const said = await callApp(
          mesh.web,
          SIDECAR_UID,
          "tcp",
          mesh.ledger.ipv4,
          String(port),
          "GET / HTTP/1.1\r\n\r\n",
        );
        expect(said).toBe("ECONNRESET");
        await recorded(mesh.ledger, before, { reason: "plaintext-refused" });
      },
    );

    it("does not reach another's admin port by any way", async () => {
      for (const uid of [APP_UID, SIDECAR_UID])
        expect(await callApp(mesh.web, uid, "tcp", mesh.ledger.ipv4, "15000", "GET /certs HTTP/1.1\r\n\r\n")).toBe(
          "ECONNRESET",
        );
    });
  });
});
