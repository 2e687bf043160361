import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ProcessName } from "../../src/io/child-processes.ts";
import { cardea, startCardea } from "../support/cardea.ts";
import { curl } from "../support/curl.ts";
import { eventually, PORT_BASE, startTestMesh, type TestMesh } from "../support/local-mesh.ts";
import { processesOf } from "../support/processes.ts";
import { askThroughTunnel } from "../support/tunnel.ts";

// One mesh that runs throughout: asked, broken and mended in turn. Every test leaves it in sync.

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await startTestMesh();
});
afterAll(() => mesh.close());

/** As the app beside this service's sidecar would ask. */
function through(name: string, ...args: string[]): ReturnType<typeof curl> {
  const { outbound } = mesh.service(name);
  return curl("-x", `http://${outbound.host}:${outbound.port}`, ...args);
}

function askLedger(name: string): Promise<string> {
  return askThroughTunnel(mesh.service(name).outbound, "ledger.ledger:7000", "BALANCE nobody\n");
}

describe("curl through the sidecars", () => {
  test("is answered where a policy allows it", async () => {
    for (const host of ["orders.shop", "orders", "orders.shop.svc.cluster.local"]) {
      const { status, body } = await through("web", `http://${host}:8080/orders`);
      expect({ host, status }).toEqual({ host, status: 200 });
      expect(JSON.parse(body)).toBeInstanceOf(Array);
    }
  });

  test("gets 403 and an id where none does, and explain names policy, file and line", async () => {
    const { status, headers, body } = await through("web", "http://payments.payments:8080/admin/refunds");
    expect(status).toBe(403);
    const id = headers["x-cardea-denial"]!;
    expect(id).toMatch(/^[0-9a-f]{16}$/);
    // Nothing of the why is told to the caller.
    expect(body).not.toMatch(/policy|principal|payments/);
    const explained = await eventually(async () => {
      const { stdout } = await mesh.cardea("explain", id);
      return stdout.includes("payments.yaml") ? stdout : null;
    });
    expect(explained).toMatch(/payments\.yaml:\d+/);
  });

  test("gets 502 for what the registry does not know", async () => {
    expect((await through("web", "http://nowhere.shop:8080/")).status).toBe(502);
    expect((await through("web", "http://example.com/")).status).toBe(502);
  });

  test("cannot be aimed at the mesh's own ports", async () => {
    const { control, services } = mesh.run();
    for (const port of [control.admin.port, services[1]!.admin.port, services[1]!.inbound[0]!.listen.port]) {
      const { status } = await through("web", `http://127.0.0.1:${port}/`);
      expect(status).toBeGreaterThanOrEqual(500);
    }
  });

  test("reaches the ledger by CONNECT as payments, and not as web", async () => {
    expect(await askLedger("payments")).toBe("BALANCE 0\n");
    expect(await askLedger("web")).toBe("");
  });
});

describe("kill -9", () => {
  test.each<[string, () => ProcessName | null]>([
    ["a sidecar", () => mesh.service("orders").sidecar],
    ["an app", () => mesh.service("payments").app],
    ["the control plane", () => mesh.run().control.process],
  ])("of %s: the others serve on, and it comes back", async (_, find) => {
    const before = find()!;
    process.kill(before.pid, "SIGKILL");
    // Nothing between these two is touched, whatever was killed.
    const ledger = await curl(`http://127.0.0.1:${mesh.service("ledger").readiness.port}/healthz/ready`);
    expect(ledger.status).toBe(200);
    const after = await eventually(() => {
      const now = find();
      return now !== null && now.pid !== before.pid ? now : null;
    });
    expect(after.pid).not.toBe(before.pid);
    // From one end to the other.
    const checkout = await eventually(async () => {
      const { inbound } = mesh.service("web");
      const answer = await curl("-X", "POST", `http://127.0.0.1:${inbound[0]!.app.port}/checkout`);
      return answer.status === 201 ? answer : null;
    });
    expect(JSON.parse(checkout.body)).toMatchObject({ payment: { cents: 4200 } });
    await eventually(async () => (await mesh.status())?.inSync);
  });

  test("of the control plane does not touch what is in force: calls go on while it is away", async () => {
    const { process: control } = mesh.run().control;
    process.kill(control!.pid, "SIGKILL");
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => through("web", "http://orders.shop:8080/orders")),
    );
    expect(answers.map((answer) => answer.status)).toEqual(Array(20).fill(200));
    expect((await through("web", "http://payments.payments:8080/payments")).status).toBe(403);
    await eventually(async () => (await mesh.status())?.inSync);
  });
});

/** Replaces a policy file in one step, and gives its undoing. */
function rewrite(file: string, change: (text: string) => string): () => void {
  const path = join(mesh.policies, file);
  const before = readFileSync(path, "utf8");
  replaceFile(path, change(before));
  return () => replaceFile(path, before);
}

function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.draft`, text);
  renameSync(`${path}.draft`, path);
}

describe("a policy file", () => {
  test("that is changed is in force everywhere within a second, and so is its undoing", async () => {
    const revision = (await mesh.status())?.revision;
    expect((await through("web", "http://orders.shop:8080/orders")).status).toBe(200);
    const startedMs = performance.now();
    const undo = rewrite("orders.yaml", (text) => text.replace('methods: ["GET"]', 'methods: ["HEAD"]'));
    await eventually(async () => (await through("web", "http://orders.shop:8080/orders")).status === 403);
    const inForceMs = performance.now() - startedMs;
    await eventually(async () => {
      const status = await mesh.status();
      return status?.inSync === true && status.revision !== revision;
    });
    undo();
    await eventually(async () => (await through("web", "http://orders.shop:8080/orders")).status === 200);
    process.stdout.write(`a policy change was in force after ${Math.round(inForceMs)} ms\n`);
    expect(inForceMs).toBeLessThan(1_000);
    await eventually(async () => (await mesh.status())?.inSync);
  });

  test("that takes a permission ends the open stream that lived by it", async () => {
    const { outbound } = mesh.service("web");
    const streaming = curl(
      "-N",
      "--max-time",
      "20",
      "-x",
      `http://127.0.0.1:${outbound.port}`,
      "http://orders.shop:8080/orders/stream",
    );
    await eventually(() => processesOf("orders.shop:8080/orders/stream").length > 0);
    const undo = rewrite("orders.yaml", (text) => text.replace('"/orders/*"', '"/elsewhere"'));
    const { exitCode } = await streaming;
    // 28 would be curl's own time limit: nobody ended the stream.
    expect(exitCode).not.toBe(28);
    undo();
    await eventually(async () => (await mesh.status())?.inSync);
  });

  test("that is bad changes nothing, and status names file, line, column and field", async () => {
    const revision = (await mesh.status())?.revision;
    const undo = rewrite("orders.yaml", (text) => text.replace("principals:", "principles:"));
    const bad = await eventually(async () => {
      const { code, stdout } = await mesh.cardea("status");
      return code === 1 && stdout.includes("principles") ? stdout : null;
    });
    expect(bad).toMatch(
      /orders\.yaml:\d+:\d+: spec\.rules\[0\]\.from\[0\]\.source\.principles: unknown field; did you mean `principals`\?/,
    );
    expect((await through("web", "http://orders.shop:8080/orders")).status).toBe(200);
    expect((await mesh.status())?.revision).toBe(revision);
    undo();
    const { code } = await eventually(async () => {
      const finished = await mesh.cardea("status");
      return finished.code === 0 ? finished : null;
    });
    expect(code).toBe(0);
  });
});

describe("cardea run", () => {
  test("gives a program a place in the mesh, its surroundings, and passes on its exit code", async () => {
    const script = 'curl -sS -o /dev/null -w "%{http_code} $PORT\\n" http://orders.shop:8080/orders; exit 7';
    const { code, stdout, stderr } = await mesh.cardea("run", "--service", "probe", "--", "sh", "-c", script);
    // It has an identity, and nobody has granted it anything.
    expect(stdout).toMatch(/^403 \d+\n$/);
    expect(stderr).toContain("spiffe://cluster.local/ns/default/sa/probe");
    expect(code).toBe(7);
    expect(mesh.run().services.map((service) => service.name)).not.toContain("probe");
    await eventually(() => processesOf("default.probe").length === 0);
  });

  test("in AUDIT lets through what would be denied, and records it", async () => {
    const script = `exec node -e 'require("http").createServer((_, r) => r.end("mine\\n")).listen(process.env.PORT, "127.0.0.1")'`;
    const words = [
      "run",
      "--service",
      "front",
      "--enforcement",
      "AUDIT",
      "--state",
      mesh.state,
      "--",
      "sh",
      "-c",
      script,
    ];
    const running = startCardea(words);
    const answer = await eventually(async () => {
      const found = await through("web", "http://front.default:8080/");
      return found.status === 200 ? found : null;
    });
    expect(answer.body).toBe("mine\n");
    const flows = await eventually(async () => {
      const { stdout } = await mesh.cardea("flows", "--verdict", "would-deny", "--json");
      return stdout === "" ? null : stdout;
    });
    expect(JSON.parse(flows.split("\n")[0]!)).toMatchObject({
      verdict: "would-deny",
      destination: { workload: "front" },
    });
    running.child.kill("SIGTERM");
    const { code } = await running.finished;
    expect(code).toBe(128 + 15);
    await eventually(() => processesOf("default.front").length === 0);
    await eventually(async () => (await through("web", "http://front.default:8080/")).status === 502);
  });

  test.each([
    ["a service that is there already", ["--service", "web", "--namespace", "shop", "--", "true"], /already\n$/],
    [
      "a program that is not there",
      ["--service", "x", "--", "no-such-program"],
      /there is no program no-such-program\n$/,
    ],
  ])("refuses %s with exit 2, and leaves nothing", async (_, flags, message) => {
    const { code, stderr } = await mesh.cardea("run", ...flags);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    await eventually(() => processesOf("default.x").length === 0);
  });
});

test("a second mesh steps around the first one's ports, and says so", async () => {
  const before = mesh.run();
  const state = join(mesh.directory, "second");
  const { code, stdout, stderr } = await cardea([
    "up",
    mesh.meshFile,
    "--once",
    "--json",
    "--state",
    state,
    "--port-base",
    PORT_BASE,
  ]);
  expect(stderr).toMatch(
    new RegExp(`^\\d+ ports are taken and stepped around: ${before.control.address.port} -> \\d+, `, "m"),
  );
  expect(code).toBe(0);
  expect(JSON.parse(stdout.trim().split("\n").at(-1)!)).toMatchObject({ unexpected: 0 });
  expect(mesh.run().services.map((service) => service.sidecar)).toEqual(
    before.services.map((service) => service.sidecar),
  );
});

test("a state directory in use is refused with the pid of who uses it", async () => {
  const { code, stderr } = await cardea(["up", mesh.meshFile, "--state", mesh.state]);
  expect(code).toBe(2);
  expect(stderr).toBe(`cardea: a mesh runs with its state in ${mesh.state} (pid ${mesh.up.child.pid})\n`);
});
