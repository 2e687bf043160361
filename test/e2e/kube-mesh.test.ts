import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { firstProcessOf, whyNoContainers } from "../support/container.ts";
import { whyNoKube } from "../support/kube-cluster.ts";
import { type KubeFlow, type KubePodMesh, type MeshPod, openKubePodMesh } from "../support/kube-pod-mesh.ts";
import { APP_UID, callApp, SIDECAR_UID } from "../support/pod-network.ts";
import { until } from "../support/kube-control.ts";
import { runProgram } from "../support/programs.ts";

// A whole cluster but for its controllers and container runtime: a real API server, `cardea control --kubernetes`, and
// three injected pods in network namespaces whose init containers and sidecars run as their manifests say. web may call
// orders, orders may call ledger; then web is breached.

const hasNft = process.getuid?.() === 0 && (await runProgram("unshare", ["--net", "nft", "list", "tables"])).code === 0;
const why = whyNoKube ?? whyNoContainers ?? (hasNft ? null : "needs nft");

vi.setConfig({ testTimeout: 90_000 });

const GRANTS = [
  ["orders", "web"],
  ["ledger", "orders"],
] as const;

describe.skipIf(why !== null)(`three services in a cluster${why === null ? "" : ` (${why})`}`, () => {
  let mesh: KubePodMesh;
  beforeAll(async () => {
    mesh = await openKubePodMesh();
  }, 240_000);
  afterAll(() => mesh?.close(), 60_000);

  async function grant(called: string, caller: string): Promise<void> {
    await mesh.cluster.apply(
      `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${called}-from-${caller}, namespace: shop }
spec:
  selector: { matchLabels: { app: ${called} } }
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/${caller}"] } }] }]
`,
    );
  }

  describe("before anybody has been granted anything", () => {
    it("a call is denied by the called pod's sidecar, which says under which id and nothing else", async () => {
      // The first call of all says that web uses orders; where its workloads are is told upon that, or soon after.
      await vi.waitFor(async () => expect((await get(mesh.web, `http://${mesh.orders.vip}/`)).status).not.toBe(503), {
        timeout: 20_000,
      });
      const before = mesh.orders.flows().length;
      const { status, headers, body } = await get(mesh.web, `http://${mesh.orders.vip}/`);
      expect(status).toBe(403);
      const id = headers["x-cardea-denial"];
      expect(id).toMatch(/^[0-9a-f]{16}$/);
      expect(body).not.toMatch(/spiffe|shop|orders/);
      await vi.waitFor(() => {
        const record = mesh.orders
          .flows()
          .slice(before)
          .find((flow) => flow.id === id);
        expect(record).toMatchObject({
          verdict: "denied",
          reason: "default-action",
          source: { principal: "spiffe://cluster.local/ns/shop/sa/web", ip: mesh.web.network.ipv4 },
          destination: { ip: mesh.orders.network.ipv4, port: 8_080 },
        });
      }, 10_000);
    });

    it("TCP is ended and gRPC told that it may not", async () => {
      expect(await tcp(mesh.web, APP_UID, mesh.orders.vip, 9_000)).toBe("ECONNRESET");
      expect(await callApp(mesh.web.network, APP_UID, "grpc", `${mesh.orders.vip}:9090`, "hello")).toBe("status 7");
    });
  });

  describe("with policies by kubectl", () => {
    beforeAll(async () => {
      for (const [called, caller] of GRANTS) await grant(called, caller);
      for (const [called, caller] of GRANTS)
        await until(
          () => get(mesh[caller], `http://${mesh[called].vip}/`),
          ({ status }) => status === 200,
        );
    }, 90_000);

    it("HTTP goes from web to orders and on to ledger, the apps knowing of nothing", async () => {
      const next = encodeURIComponent(`http://${mesh.ledger.vip}/balance`);
      const { status, body } = await get(mesh.web, `http://${mesh.orders.vip}/via?url=${next}`);
      expect({ status, ...(JSON.parse(body) as object) }).toMatchObject({
        status: 200,
        name: "ledger",
        url: "/balance",
        from: "::ffff:127.0.0.6",
        caller: expect.stringContaining("URI=spiffe://cluster.local/ns/shop/sa/orders") as string,
      });
    });

    it("HTTP goes to a pod's own address of either family", async () => {
      for (const host of [mesh.orders.network.ipv4, `[${mesh.orders.network.ipv6}]`])
        expect(await get(mesh.web, `http://${host}:8080/`)).toMatchObject({ status: 200 });
    });

    it("gRPC and TCP go as well, and each is recorded with who called whom", async () => {
      const before = mesh.orders.flows().length;
      expect(await callApp(mesh.web.network, APP_UID, "grpc", `${mesh.orders.vip}:9090`, "hello")).toBe("hello");
      expect(await tcp(mesh.web, APP_UID, mesh.orders.vip, 9_000)).toBe("orders: hello");
      await recorded(mesh.orders, before, { verdict: "allowed", protocol: "http", grpcStatus: 0 });
      await recorded(mesh.orders, before, { verdict: "allowed", protocol: "tcp" });
      const callers = mesh.orders
        .flows()
        .slice(before)
        .map(({ source }) => source.principal);
      expect(new Set(callers)).toEqual(new Set(["spiffe://cluster.local/ns/shop/sa/web"]));
    });

    it("a grant that kubectl takes away is gone from live connections", async () => {
      await mesh.cluster.kubectl(["delete", "-n", "shop", "authorizationpolicy", "orders-from-web"]);
      await until(
        () => get(mesh.web, `http://${mesh.orders.vip}/`),
        ({ status }) => status === 403,
      );
      await grant("orders", "web");
      await until(
        () => get(mesh.web, `http://${mesh.orders.vip}/`),
        ({ status }) => status === 200,
      );
    });
  });

  describe("a breached web", () => {
    it.each<[string, () => string, ...string[]]>([
      ["by ledger's service", () => `http://${mesh.ledger.vip}/`],
      ["at ledger's own address", () => `http://${mesh.ledger.network.ipv4}:8080/`],
      ["at its own IPv6 address", () => `http://[${mesh.ledger.network.ipv6}]:8080/`],
      ["under the name of one that it may call", () => `http://${mesh.ledger.vip}/`, "-H", "Host: orders.shop"],
      [
        "with orders' identity in a header",
        () => `http://${mesh.ledger.vip}/`,
        "-H",
        "X-Forwarded-Client-Cert: By=spiffe://cluster.local/ns/shop/sa/ledger;URI=spiffe://cluster.local/ns/shop/sa/orders",
      ],
    ])("is denied over HTTP %s", async (_how, url, ...options) => {
      const before = mesh.ledger.flows().length;
      expect(await get(mesh.web, url(), ...options)).toMatchObject({ status: 403 });
      await recorded(mesh.ledger, before, { verdict: "denied", reason: "no-allow-rule-matched" });
    });

    it("is denied over gRPC and TCP", async () => {
      const before = mesh.ledger.flows().length;
      expect(await callApp(mesh.web.network, APP_UID, "grpc", `${mesh.ledger.vip}:9090`, "x")).toBe("status 7");
      expect(await tcp(mesh.web, APP_UID, mesh.ledger.vip, 9_000)).toBe("ECONNRESET");
      await recorded(mesh.ledger, before, { verdict: "denied", protocol: "tcp" });
    });

    it("is known as web where it may call, whatever it says that it is", async () => {
      const claim = "X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/shop/sa/ledger";
      const { status, body } = await get(mesh.web, `http://${mesh.orders.vip}/`, "-H", claim);
      const { caller } = JSON.parse(body) as { caller: string };
      expect({ status, caller }).toEqual({
        status: 200,
        caller: expect.stringContaining("URI=spiffe://cluster.local/ns/shop/sa/web") as string,
      });
      expect(caller).not.toContain("sa/ledger");
    });

    it("its denial is explained from the record and the cluster's own policies", async () => {
      const before = mesh.ledger.flows().length;
      const { headers } = await get(mesh.web, `http://${mesh.ledger.vip}/balance`);
      const id = headers["x-cardea-denial"];
      await vi.waitFor(
        () => expect(mesh.ledger.flows().slice(before)).toContainEqual(expect.objectContaining({ id })),
        10_000,
      );
      const replay = await mesh.explain(mesh.ledger, id!);
      expect(replay).toMatchObject({ at: "explained", disagreement: null });
      const told = JSON.stringify(replay);
      expect(told).toContain("ledger-from-orders");
      expect(told).toContain("cluster.local/ns/shop/sa/orders");
    });

    it.each([[8_080], [9_000], [9_090], [15_006], [22]])(
      "as the sidecar's user it gets past its own sidecar, and not past ledger's: port %i",
      async (port) => {
        const before = mesh.ledger.flows().length;
        const said = await tcp(mesh.web, SIDECAR_UID, mesh.ledger.network.ipv4, port, "GET / HTTP/1.1\r\n\r\n");
        expect(said).toBe("ECONNRESET");
        await vi.waitFor(() => expect(mesh.ledger.flows().length).toBeGreaterThan(before), 10_000);
        expect(mesh.ledger.flows().slice(before)).not.toContainEqual(expect.objectContaining({ verdict: "allowed" }));
      },
    );

    it("by that user's way it reaches no service's address either: nobody is there", async () => {
      expect((await getAs(mesh.web, SIDECAR_UID, `http://${mesh.ledger.vip}/`, "-m", "3")).status).toBe(0);
    });

    it.each([["8080"], ["15008"]])("by TLS with no certificate at port %s it is nobody", async (port) => {
      const before = mesh.ledger.flows().length;
      const url = `https://${mesh.ledger.network.ipv4}:${port}/`;
      expect((await getAs(mesh.web, SIDECAR_UID, url, "-k")).status).toBe(0);
      await recorded(mesh.ledger, before, { verdict: "denied" });
    });

    it("finds nobody's admin port, and its sidecar's keys nowhere", async () => {
      for (const uid of [APP_UID, SIDECAR_UID])
        expect(await tcp(mesh.web, uid, mesh.ledger.network.ipv4, 15_000)).toBe("ECONNRESET");
      const { body } = await get(mesh.web, "http://127.0.0.1:15000/certs");
      expect(body).not.toMatch(/PRIVATE KEY/);
    });

    it("what is in no mesh gets nowhere", async () => {
      for (const port of [8_080, 9_000, 9_090])
        expect(await callApp(mesh.outside, APP_UID, "tcp", mesh.ledger.network.ipv4, String(port), "hello")).toBe(
          "ECONNRESET",
        );
    });
  });

  it("a sidecar that is told to end does so in good order, and is not restarted by us", async () => {
    const { container } = mesh.ledger.running;
    const gone = new Promise<number | null>((resolve) => void container.once("exit", resolve));
    process.kill(firstProcessOf(container), "SIGTERM");
    expect(await gone).toBe(0);
  });
});

function get(from: MeshPod, url: string, ...options: string[]): Promise<Answer> {
  return getAs(from, APP_UID, url, ...options);
}

async function getAs(from: MeshPod, uid: number, url: string, ...options: string[]): Promise<Answer> {
  const { stdout } = await from.network.run(uid, "curl", "-sgi", "-m", "8", ...options, url);
  const [head = "", ...body] = stdout.split("\r\n\r\n");
  const [first = "", ...fields] = head.split("\r\n");
  const headers = Object.fromEntries(fields.map((line) => line.toLowerCase().split(/: (.*)/s) as [string, string]));
  return { status: Number(first.split(" ")[1] ?? 0), headers, body: body.join("\r\n\r\n") };
}

function tcp(from: MeshPod, uid: number, host: string, port: number, text = "hello"): Promise<string> {
  return callApp(from.network, uid, "tcp", host, String(port), text);
}

/** Waits until a sidecar has recorded that, after its first `before` records. */
function recorded(pod: MeshPod, before: number, wanted: Partial<Omit<KubeFlow, "source" | "destination">>) {
  const flow = expect.objectContaining(wanted) as object;
  return vi.waitFor(() => expect(pod.flows().slice(before)).toContainEqual(flow), { timeout: 10_000 });
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}
