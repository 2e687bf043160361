import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { eventually } from "../support/local-mesh.ts";
import { runProgram } from "../support/programs.ts";
import { openTestMesh, policySetOf, type TestMesh, WEB_MAY } from "../support/test-mesh.ts";

// PostgreSQL as many have it: psql on one side, a server on the other, and between them sidecars that see bytes.

const BIN = whereIsPostgres();
/** The server refuses to be run by root. */
const ACCOUNT = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : null;

describe.skipIf(BIN === null)("psql (skipped without psql and a PostgreSQL server)", () => {
  let directory: string;
  let port: number;
  let server: ChildProcess;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "cardea-postgres-"));
    if (ACCOUNT !== null) chownSync(directory, ACCOUNT.uid, ACCOUNT.gid);
    const options = { ...ACCOUNT, cwd: directory, env: { ...process.env, HOME: directory, LC_ALL: "C" } };
    const data = join(directory, "data");
    const made = spawnSync(join(BIN!, "initdb"), ["-D", data, "-U", "test", "--auth=trust", "--no-sync"], options);
    expect(made.status, String(made.stderr)).toBe(0);
    port = await freePort();
    const words = ["-D", data, "-p", String(port), "-h", "127.0.0.1", "-k", directory, "-F"];
    server = spawn(join(BIN!, "postgres"), words, { ...options, stdio: "ignore" });
    await eventually(async () => (await ask(port, "select 1")).stdout === "1\n", 30_000);
  });

  afterAll(async () => {
    server.kill("SIGINT");
    await new Promise((resolve) => server.once("exit", resolve));
    rmSync(directory, { recursive: true });
  });

  describe.each([false, true])("with HBONE between the sidecars: %s", (hbone) => {
    let mesh: TestMesh;

    beforeAll(async () => {
      mesh = await openTestMesh({
        network: createSocketNetwork(),
        clock: systemClock,
        ordersApp: { host: "127.0.0.1", port: 9 },
        ledgerApp: { host: "127.0.0.1", port },
        hbone,
      });
    });

    afterAll(() => mesh.close());

    it("is answered, with much that comes back and much that is sent", async () => {
      const table = `rows_${hbone}`;
      const rows = 50_000;
      const lines = Array.from({ length: rows }, (_, i) => `${i}\t${"v".repeat(50)}\n`).join("");
      const script = `create table ${table} (id int, text text);\ncopy ${table} from stdin;\n${lines}\\.\n`;
      expect(await ask(mesh.toLedger.port, "", script)).toMatchObject({ code: 0, stderr: "" });
      const { stdout } = await ask(mesh.toLedger.port, `select * from ${table} order by id`);
      expect(stdout === lines.replaceAll("\t", "|")).toBe(true);
      expect(mesh.orders.flows.at(-1)).toMatchObject({ protocol: "tcp", verdict: "allowed", endedBy: "downstream" });
    });

    it("gets nothing when it may not", async () => {
      mesh.orders.policy.set(policySetOf([]));
      const { code, stdout } = await ask(mesh.toLedger.port, "select 1");
      expect([code, stdout]).toEqual([2, ""]);
      expect(mesh.orders.flows.at(-1)).toMatchObject({ protocol: "tcp", verdict: "denied" });
      mesh.orders.policy.set(policySetOf([WEB_MAY]));
    });

    it("is cut off in the middle of a query when it may no more", async () => {
      const name = `asleep_${hbone}`;
      const asking = ask(mesh.toLedger.port, `select '${name}', pg_sleep(60)`);
      const isAsleep = `select count(*) from pg_stat_activity where state = 'active' and query like '%${name}%' and pid <> pg_backend_pid()`;
      await eventually(async () => (await ask(port, isAsleep)).stdout === "1\n");
      mesh.orders.policy.set(policySetOf([]));
      expect((await asking).code).not.toBe(0);
      await eventually(() => mesh.orders.flows.at(-1)?.reason === "permission-lost");
      mesh.orders.policy.set(policySetOf([WEB_MAY]));
    });
  });
});

/** At a port of the server's or of a sidecar's, by a query or by what psql reads. */
function ask(port: number, query: string, input = "") {
  const where = ["-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", String(port), "-U", "test", "-d", "postgres"];
  return runProgram("psql", query === "" ? where : [...where, "-c", query], input);
}

/** The directory of the newest server that is installed with psql beside it on PATH. */
function whereIsPostgres(): string | null {
  const root = "/usr/lib/postgresql";
  if (spawnSync("psql", ["--version"]).error !== undefined || !existsSync(root)) return null;
  const versions = readdirSync(root).toSorted((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(root, version, "bin")).find((bin) => existsSync(join(bin, "initdb"))) ?? null;
}

async function freePort(): Promise<number> {
  const taken = createServer();
  await new Promise<void>((resolve) => void taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as AddressInfo;
  await new Promise((resolve) => taken.close(resolve));
  return port;
}
