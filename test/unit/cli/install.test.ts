import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { command as doctor } from "../../../src/cli/doctor.ts";
import { command as install } from "../../../src/cli/install.ts";
import { command as uninstall } from "../../../src/cli/uninstall.ts";
import type { Command } from "../../../src/cli/command.ts";
import { createKubeCertificates } from "../../support/kube-certificates.ts";
import { keptTerminal, runCommand } from "../../support/kept-terminal.ts";

let directory = "";
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), "cardea-install-"))));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function run(command: Command, ...words: string[]) {
  const terminal = keptTerminal();
  const code = await runCommand(command, words, terminal);
  return { code, out: terminal.out.join("\n"), err: terminal.err.join("\n") };
}

test("without a cluster to ask the manifests come out, and what is left out is said", async () => {
  const { code, out, err } = await run(install);
  expect(code).toBe(0);
  expect(out).toMatch(/^apiVersion: v1\nkind: Namespace\n/);
  expect(out).not.toContain("kind: AuthorizationPolicy\n");
  expect(err).toMatch(/Istio's kinds .* are left out.*no cluster is named.*\n.*--crds all/);
});

/** A cluster that has none of what it is asked for. */
async function olderCluster(): Promise<{ readonly kubeconfig: string; readonly server: Server }> {
  const { caPem, server: pair } = createKubeCertificates();
  const server = createServer({ cert: pair.certPem, key: pair.keyPem }, (_request, response) => {
    response
      .writeHead(404, { "content-type": "application/json" })
      .end('{"kind":"Status","code":404,"message":"none"}');
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const kubeconfig = join(directory, "older.yaml");
  const cluster = {
    name: "a",
    cluster: {
      server: `https://127.0.0.1:${port}`,
      "certificate-authority-data": Buffer.from(caPem).toString("base64"),
    },
  };
  const context = { name: "a", context: { cluster: "a", user: "a" } };
  const user = { name: "a", user: { token: "t" } };
  const parts = { clusters: [cluster], contexts: [context], users: [user], "current-context": "a" };
  writeFileSync(kubeconfig, JSON.stringify({ apiVersion: "v1", kind: "Config", ...parts }));
  return { kubeconfig, server };
}

test("a cluster that cannot keep rules by itself gets no guard, and it is said", async () => {
  const { kubeconfig, server } = await olderCluster();
  try {
    const { code, out, err } = await run(install, "--kubeconfig", kubeconfig);
    expect([code, err]).toEqual([0, expect.stringMatching(/the guard .* is left out: .* older than Kubernetes 1\.30/)]);
    expect(out).not.toContain("ValidatingAdmissionPolicy");
    expect(out).toContain("kind: MutatingWebhookConfiguration");
    const unwanted = await run(install, "--kubeconfig", kubeconfig, "--set", "injection.guard=false");
    expect([unwanted.code, unwanted.err]).toEqual([0, ""]);
  } finally {
    server.close();
  }
});

test("who says which kinds is not asked for a cluster", async () => {
  const all = await run(install, "--crds", "all");
  expect([all.code, all.err]).toEqual([0, ""]);
  expect(all.out).toContain("kind: AuthorizationPolicy\n");
});

test("a file of values with faults ends with 2, and prints no manifest", async () => {
  const file = join(directory, "values.yaml");
  writeFileSync(file, "control:\n  replica: 3\nimage: [a]\n");
  expect(await run(install, "--values", file)).toEqual({
    code: 2,
    out: "",
    err: `${file}:3:8: image: expected a string, found a list\n${file}:2:3: control.replica: unknown field; did you mean \`replicas\`?`,
  });
});

test.each<[Command, readonly string[], string]>([
  [install, ["--profile", "big"], '--profile: expected default or ha, found "big"'],
  [install, ["--crds", "some"], '--crds: expected auto, all or none, found "some"'],
  [install, ["--namespace", "Mesh"], "--namespace: expected a namespace"],
  [install, ["--revision", "v_2"], "revision: expected a name"],
  [install, ["--kubeconfig", "/no/such/file"], "/no/such/file cannot be read"],
  [uninstall, ["--revision", "v_2"], "--revision: expected a namespace"],
  [uninstall, ["--yes"], "no cluster is named"],
  [doctor, [], "no cluster is named"],
])("%o with %j ends with 2", async (command, words, why) => {
  const { code, out, err } = await run(command, ...words);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(why);
});
