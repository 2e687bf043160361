import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Address } from "../../src/core/ports.ts";
import type { SpiffeId } from "../../src/core/spiffe-id.ts";
import { cardea, type RunningCardea, startCardea } from "../support/cardea.ts";
import { isPresent, policy, registryOf, valueWhen } from "../unit/control/control-fixture.ts";
import { joinSidecar, type TestSidecar } from "../unit/control/join-sidecar.ts";

// Processes start slowly on a machine that is busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

// `cardea control` as a process of its own: what it says, how it ends, and what outlives it when it is killed.

let directory: string;
let running: RunningCardea[];
let sidecars: TestSidecar[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cardea-control-process-"));
  [running, sidecars] = [[], []];
  await mkdir(join(directory, "policies"));
  await mkdir(join(directory, "state/registry"), { recursive: true });
  await writeFile(join(directory, "policies/a.yaml"), policy("a", "{rules: [{}]}"));
  await writeFile(join(directory, "state/registry/orders.json"), JSON.stringify(registryOf("orders", 1_001)));
});
afterEach(async () => {
  for (const sidecar of sidecars) sidecar.close();
  for (const { child, finished } of running) {
    child.kill("SIGKILL");
    await finished;
  }
  await rm(directory, { recursive: true, force: true });
});

test("says on stdout, once, where it is, and ends with 0 on SIGTERM though sidecars are connected", async () => {
  const { control, ready } = await start();
  const { discovery } = await joined(ready);
  await valueWhen(discovery.policies, isPresent);
  control.child.kill("SIGTERM");
  const finished = await control.finished;
  expect(finished).toMatchObject({ code: 0, signal: null });
  expect(finished.stdout.trim().split("\n")).toHaveLength(1);
  expect(ready).toMatchObject({
    ready: "control",
    spiffeId: "spiffe://cluster.local/ns/cardea-system/sa/cardea-control",
  });
});

test("killed and started again on the same state it is the same authority, and its sidecars come back to it", async () => {
  const first = await start();
  const sidecar = await joined(first.ready);
  const set = await valueWhen(sidecar.discovery.policies, isPresent);
  first.control.child.kill("SIGKILL");
  await first.control.finished;
  await valueWhen(sidecar.discovery.connection, ({ at }) => at === "retrying");
  await writeFile(join(directory, "policies/a.yaml"), policy("a", "{rules: []}"));
  const second = await start(first.ready.address.port);
  // The root that the sidecar pinned at its start still vouches for the control plane, and the change gets through.
  const next = await valueWhen(sidecar.discovery.policies, (value) => value !== set);
  expect(next?.compiled.allow.rules).toEqual([]);
  // Who joins now and who joined before trust each other: one root.
  const newcomer = await joined(second.ready, "web");
  const [old, fresh] = await Promise.all(
    [sidecar, newcomer].map(({ holder }) => valueWhen(holder.identity, isPresent)),
  );
  expect(fresh!.rootsDer).toEqual(old!.rootsDer);
});

describe("ends with 2 and says why, in a line a fault, when", () => {
  test("it has no configuration", async () => {
    expect(await cardea(["control"])).toMatchObject({
      code: 2,
      stdout: "",
      stderr: "cardea: --config FILE is missing\n",
    });
  });

  test("its configuration is not there", async () => {
    const file = join(directory, "nope.json");
    const stderr = `cardea: ${file} cannot be read: no such file or directory\n`;
    expect(await cardea(["control", "--config", file])).toMatchObject({ code: 2, stdout: "", stderr });
  });

  test("its configuration has a mistyped field", async () => {
    const file = await writeConfig({ polciesDir: "/" });
    const finished = await cardea(["control", "--config", file]);
    expect(finished).toMatchObject({ code: 2, stdout: "" });
    expect(finished.stderr).toMatch(/control\.json: polciesDir: unknown field; did you mean `policiesDir`\?/);
  });

  test("its port is taken", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    const finished = await cardea(["control", "--config", await writeConfig({ listen: { host: "127.0.0.1", port } })]);
    taken.close();
    expect(finished).toMatchObject({ code: 2, stdout: "" });
    expect(finished.stderr).toContain(`cardea: cannot listen on 127.0.0.1:${port}`);
  });

  test("no policy set is good and none ever was", async () => {
    await writeFile(join(directory, "policies/a.yaml"), policy("a", "{ruls: []}"));
    const finished = await cardea(["control", "--config", await writeConfig()]);
    expect(finished).toMatchObject({ code: 2, stdout: "" });
    expect(finished.stderr).toContain("policies/a.yaml:4:8: spec.ruls: unknown field; did you mean `rules`?");
  });
});

interface Ready {
  readonly address: Address;
  readonly spiffeId: SpiffeId;
}

async function start(port = 0): Promise<{ readonly control: RunningCardea; readonly ready: Ready }> {
  const config = await writeConfig({ listen: { host: "127.0.0.1", port } });
  const control = startCardea(["control", "--config", config]);
  running.push(control);
  const first = await control.lines.next();
  if (first.done === true) throw new Error((await control.finished).stderr);
  return { control, ready: JSON.parse(first.value) as Ready };
}

async function joined(ready: Ready, name = "orders"): Promise<TestSidecar> {
  const sidecar = await joinSidecar({ ...ready, stateDir: join(directory, "state") }, name);
  sidecars.push(sidecar);
  return sidecar;
}

async function writeConfig(change: object = {}): Promise<string> {
  const file = join(directory, "control.json");
  const config = {
    name: "test",
    stateDir: join(directory, "state"),
    policiesDir: join(directory, "policies"),
    listen: { host: "127.0.0.1", port: 0 },
    admin: { host: "127.0.0.1", port: 0 },
    logLevel: "error",
    ...change,
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}
