import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PoolMesh, runApart, startPoolMesh } from "../support/pool-mesh.ts";

// A network that loses all packets to one workload, in a namespace where that is nobody else's.

const WHY_NOT = whyNot();

describe.skipIf(WHY_NOT !== null)(`packets that are dropped${WHY_NOT === null ? "" : ` (skipped: ${WHY_NOT})`}`, () => {
  let pool: PoolMesh;

  beforeAll(async () => {
    pool = await startPoolMesh({
      workloads: ["one", "two"],
      services: [
        { name: "alone", workloads: ["one"] },
        { name: "pair", workloads: ["one", "two"] },
        { name: "later", workloads: ["one"] },
      ],
      rules: [connectTimeout("alone"), connectTimeout("pair"), tryTimeout("later")].join("---\n"),
      isApart: true,
    });
    // A connection that stands when packets begin to be lost.
    await pool.ask("later", "/before");
  });

  afterAll(() => pool.close());

  it("on connections that stood: the try's time-out ends it, and with nobody else it is 504", async () => {
    await drop("one");
    expect((await pool.ask("later", "/later")).status).toBe(504);
    const [flow] = await pool.told("/later", 1);
    expect(flow).toMatchObject({ reason: "upstream-timeout", endedBy: "sidecar", attempts: 1 });
    await dropNothing();
  });

  it("on the way to the only workload: the connect time-out, each try, then 504", async () => {
    await restart("one");
    await drop("one");
    expect((await pool.ask("alone", "/alone")).status).toBe(504);
    const [flow] = await pool.told("/alone", 1);
    expect(flow).toMatchObject({
      status: 504,
      verdict: "error",
      reason: "upstream-connect-timeout",
      attempts: 3,
      retriedFor: "upstream-connect-timeout",
    });
  });

  it("on the way to one of two: each request goes on to the other", async () => {
    const count = 8;
    const answers = await Promise.all(Array.from({ length: count }, () => pool.ask("pair", "/pair")));
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`))).toEqual(new Set(["200 two"]));
    const again = (await pool.told("/pair", count)).filter(({ attempts }) => attempts !== null && attempts > 1);
    expect(again.length).toBeGreaterThan(0);
    for (const flow of again) expect(flow).toMatchObject({ status: 200, retriedFor: "upstream-connect-timeout" });
  });

  it("no more: it is answered again", async () => {
    await dropNothing();
    expect(await pool.ask("alone", "/again")).toEqual({ status: 200, text: "one" });
  });

  /** Everything to and from a workload's sidecar. */
  async function drop(workload: string): Promise<void> {
    const { port } = pool.mesh.service(workload).inbound[0]!.listen;
    await nft(`table inet faults {
      chain lose {
        type filter hook input priority 0; policy accept;
        tcp dport ${port} drop
        tcp sport ${port} drop
      }
    }
`);
  }

  function dropNothing(): Promise<void> {
    return nft("delete table inet faults\n");
  }

  async function nft(script: string): Promise<void> {
    const { code, stderr } = await runApart(pool.mesh, "nft", ["-f", "-"], script);
    expect([code, stderr]).toEqual([0, ""]);
  }

  /** With it go all connections to it. */
  async function restart(workload: string): Promise<void> {
    const { pid } = pool.mesh.service(workload).sidecar!;
    process.kill(pid, "SIGKILL");
    await expect.poll(() => pool.mesh.service(workload).sidecar?.pid ?? pid, { timeout: 30_000 }).not.toBe(pid);
  }
});

function connectTimeout(host: string): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host}, namespace: test }
spec: { host: ${host}, trafficPolicy: { connectionPool: { tcp: { connectTimeout: 200ms } } } }
`;
}

function tryTimeout(host: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host}, namespace: test }
spec:
  hosts: [${host}]
  http: [{ route: [{ destination: { host: ${host} } }], retries: { attempts: 0 }, timeout: 300ms }]
`;
}

function whyNot(): string | null {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs root on Linux";
  const missing = ["nft", "unshare", "nsenter", "ip"].filter((name) => spawnSync(name, ["-V"]).error !== undefined);
  if (missing.length > 0) return `no ${missing.join(", ")}`;
  const tried = spawnSync("unshare", ["--net", "nft", "list", "tables"]);
  return tried.status === 0 ? null : "nft may not be used in a network namespace";
}
