import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseArgs } from "../../../src/cli/args.ts";
import type { Terminal } from "../../../src/cli/command.ts";
import { CERTS_PATH } from "../../../src/cli/sidecar-paths.ts";
import { command } from "../../../src/cli/svid-show.ts";
import { encodePem } from "../../../src/pki/pem.ts";
import { anyCertificate, dnsName, uriName } from "../../support/any-certificate.ts";
import { createTestAuthority, shopId } from "../../support/test-authority.ts";

let directory: string;
const servers: Server[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "cardea-svid-"));
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Shown {
  readonly exit: number;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
}

async function show(...words: readonly string[]): Promise<Shown> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const terminal: Terminal = {
    stdout: (line) => void stdout.push(line),
    stderr: (line) => void stderr.push(line),
    isTty: false,
    width: 80,
    colour: false,
    stdin: async function* () {},
    env: { CARDEA_STATE: directory },
    cwd: directory,
    onSignal: () => undefined,
    onUserSignal: () => undefined,
  };
  return { exit: await command.run(parseArgs(command, words), terminal), stdout, stderr };
}

function write(name: string, ...ders: readonly Buffer[]): string {
  const path = join(directory, name);
  writeFileSync(path, ders.map((der) => encodePem("CERTIFICATE", der)).join(""));
  return path;
}

/** A sidecar's admin port that answers so; null: nobody listens there. */
async function admin(answer: { status: number; body: string } | null): Promise<{ host: string; port: number }> {
  const server = createServer((request, response) => {
    response.writeHead(request.url === CERTS_PATH ? (answer?.status ?? 500) : 404).end(answer?.body);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  if (answer === null) await new Promise((resolve) => server.close(resolve));
  else servers.push(server);
  return { host: "127.0.0.1", port };
}

async function runMesh(sidecars: Readonly<Record<string, { status: number; body: string } | null>>): Promise<void> {
  const entries = Object.entries(sidecars).map(async ([name, answer]) => ({
    name,
    namespace: "shop",
    admin: await admin(answer),
  }));
  const up = { pid: process.pid, startedAt: "now" };
  writeFileSync(join(directory, "run.json"), JSON.stringify({ up, services: await Promise.all(entries) }));
}

function chainFor(name: string): string {
  return createTestAuthority().issue(shopId(name)).material.chainPem;
}

describe("cardea svid show FILE", () => {
  const now = Date.now();
  const lasting = { notBeforeMs: now - 60_000, notAfterMs: now + 60 * 60_000 - 500 };

  it("prints a good chain, the authority as such, and exits 0", async () => {
    const path = join(directory, "chain.pem");
    writeFileSync(path, chainFor("web"));
    const { exit, stdout } = await show(path);
    expect(exit).toBe(0);
    expect(stdout[0]).toBe(shopId("web"));
    expect(stdout.join("\n")).toMatch(/valid\s+\S+Z to \S+Z, 59 min left/);
    expect(stdout.join("\n")).toMatch(/issuer\s+O=cluster\.local, CN=Cardea intermediate/);
    expect(stdout.join("\n")).toMatch(/key\s+EC P-256/);
    expect(stdout).toContain("spiffe://cluster.local (authority)");
  });

  it("prints one object a certificate with --json", async () => {
    const path = join(directory, "chain.pem");
    writeFileSync(path, chainFor("web"));
    const { exit, stdout } = await show("--json", path);
    expect(exit).toBe(0);
    expect(stdout.map((line) => JSON.parse(line))).toMatchObject([
      {
        role: "svid",
        spiffeId: shopId("web"),
        source: path,
        serial: expect.stringMatching(/^[0-9a-f]+$/),
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        problem: null,
      },
      { role: "authority", spiffeId: "spiffe://cluster.local", problem: null },
    ]);
  });

  it.each([
    ["has expired", { ...lasting, notAfterMs: now - 3 * 86_400_000 }, "it has expired", "ended 3 d ago"],
    ["is not valid yet", { ...lasting, notBeforeMs: now + 60_000 }, "it is not valid yet", "59 min left"],
    [
      "has two identities",
      { ...lasting, names: [uriName(shopId("web")), uriName(shopId("x"))] },
      "2 URI names",
      "59 min left",
    ],
    ["has none", { ...lasting, names: [dnsName("web")] }, "it has no URI name", "(no SPIFFE ID)"],
  ])("exits 1 and names the problem when one %s", async (_what, options, problem, more) => {
    const { exit, stdout } = await show(write("bad.pem", anyCertificate(options).der));
    expect(exit).toBe(1);
    expect(stdout.join("\n")).toContain(problem);
    expect(stdout.join("\n")).toContain(more);
  });

  it("writes nothing to the terminal that moves its cursor", async () => {
    const hostile = anyCertificate({
      ...lasting,
      names: [uriName("spiffe://x\u001b[2J\n")],
      name: "\u001b]0;evil\u0007",
    });
    const { exit, stdout } = await show(write("hostile.pem", hostile.der));
    expect(exit).toBe(1);
    expect(stdout.join("")).toMatch(/^[ -~]+$/);
  });

  it.each([
    ["is not there", () => join(directory, "absent.pem")],
    ["is empty", () => write("empty.pem")],
    ["holds something else", () => write("junk.pem", Buffer.from("junk"))],
  ])("is bad input when the file %s", async (_what, path) => {
    await expect(show(path())).rejects.toMatchObject({ code: "bad-input" });
  });
});

describe("cardea svid show", () => {
  it("asks every sidecar of the mesh", async () => {
    await runMesh({ web: { status: 200, body: chainFor("web") }, ledger: { status: 200, body: chainFor("ledger") } });
    const { exit, stdout } = await show("--json");
    expect(exit).toBe(0);
    expect(stdout.map((line) => JSON.parse(line))).toMatchObject([
      { source: "web.shop", spiffeId: shopId("web") },
      { source: "ledger.shop", spiffeId: shopId("ledger") },
    ]);
  });

  it("exits 1 when a sidecar holds no certificate, and shows the others", async () => {
    await runMesh({ web: { status: 503, body: "" }, ledger: { status: 200, body: chainFor("ledger") } });
    const { exit, stdout, stderr } = await show("--json");
    expect(exit).toBe(1);
    expect(stderr).toEqual(["web.shop: the sidecar holds no certificate now"]);
    expect(stdout).toHaveLength(1);
  });

  it("exits 3 when a sidecar does not answer, and shows the others", async () => {
    await runMesh({ web: null, ledger: { status: 200, body: chainFor("ledger") } });
    const { exit, stdout, stderr } = await show("--json");
    expect(exit).toBe(3);
    expect(stderr[0]).toMatch(/^web\.shop: the sidecar does not answer/);
    expect(stdout).toHaveLength(1);
  });

  it("cannot reach a mesh that does not run", async () => {
    await expect(show()).rejects.toMatchObject({ code: "unreachable" });
    writeFileSync(join(directory, "run.json"), JSON.stringify({ up: null, services: [] }));
    await expect(show()).rejects.toMatchObject({ code: "unreachable" });
  });
});
