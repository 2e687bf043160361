import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startMeshAt, type TestMesh } from "../support/local-mesh.ts";

// The conformance harness of W3C Trace Context (github.com/w3c/trace-context, test/): its requests go through a pair of sidecars to
// an app that passes on what it got, and come back to it through another pair. All of its cases bind: none is left out.

const HARNESS = process.env["TRACE_CONTEXT"] ?? "";
const PYTHON = process.env["TRACE_CONTEXT_PYTHON"] ?? "";
const APP = fileURLToPath(new URL("../support/trace-context-app.mjs", import.meta.url));

describe.skipIf(HARNESS === "" || PYTHON === "")(
  "the harness of W3C Trace Context (needs TRACE_CONTEXT, a checkout of w3c/trace-context, and TRACE_CONTEXT_PYTHON, a python with aiohttp)",
  () => {
    let mesh: TestMesh;
    let harnessPort: number;

    beforeAll(async () => {
      const directory = mkdtempSync(join(tmpdir(), "cardea-trace-context-"));
      harnessPort = await freePort();
      copyFileSync(APP, join(directory, "app.mjs"));
      mkdirSync(join(directory, "policies"));
      writeFileSync(join(directory, "policies", "all.yaml"), POLICIES);
      writeFileSync(join(directory, "mesh.yaml"), meshFile(harnessPort));
      mesh = await startMeshAt(directory, join(directory, "mesh.yaml"));
    }, 90_000);
    afterAll(() => mesh.close());

    test.each([1, 2])(
      "passes at level %d of the specification, strictly",
      async (level) => {
        const [upstream] = mesh.service("tester").upstreams;
        const { code, said } = await runHarness(`http://127.0.0.1:${upstream!.listen.port}/test`, level);
        expect(said).toMatch(/Ran (\d{2,}) tests/);
        expect({ code, failed: [...said.matchAll(/^(?:FAIL|ERROR): (\S+)/gm)].map(([, name]) => name) }).toEqual({
          code: 0,
          failed: [],
        });
      },
      150_000,
    );

    function runHarness(endpoint: string, level: number): Promise<{ readonly code: number; readonly said: string }> {
      const env = {
        ...process.env,
        HARNESS_PORT: String(harnessPort),
        HARNESS_TIMEOUT: "20",
        SPEC_LEVEL: String(level),
        STRICT_LEVEL: "2",
      };
      return new Promise((resolve) => {
        const cwd = join(HARNESS, "test");
        execFile(PYTHON, ["test.py", endpoint], { cwd, env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code), said: stdout + stderr }),
        );
      });
    }
  },
);

const POLICIES = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: all, namespace: test }
spec: { action: ALLOW, rules: [{}] }
`;

function meshFile(harnessPort: number): string {
  return `
apiVersion: cardea.dev/v1
kind: Mesh
metadata: { name: trace-context }
spec:
  policies: policies
  services:
    - name: tester
      namespace: test
      upstreams: [{ service: echo, port: 8080 }]
    - name: echo
      namespace: test
      ports: [{ port: 8080, protocol: HTTP }]
      app: { command: [node, app.mjs] }
      upstreams: [{ service: harness, port: 8080 }]
    - name: harness
      namespace: test
      ports: [{ port: 8080, protocol: HTTP }]
      app: { address: "127.0.0.1:${harnessPort}" }
`;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
