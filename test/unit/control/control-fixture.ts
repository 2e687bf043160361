import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ControlStatus } from "../../../src/control/admin.ts";
import { type ControlPlane, openControlPlane } from "../../../src/control/control-plane.ts";
import { openDirectory } from "../../../src/control/distribute/directory.ts";
import { openPolicySource } from "../../../src/control/distribute/policy-source.ts";
import { openRegistry } from "../../../src/control/distribute/registry.ts";
import { openRevisionArchive } from "../../../src/control/distribute/revision-archive.ts";
import type { Latest } from "../../../src/core/latest.ts";
import { systemClock } from "../../../src/io/clock.ts";
import { openHttpAdmin } from "../../../src/io/http-admin.ts";
import { openStateFiles } from "../../../src/io/state-files.ts";
import { listenTls } from "../../../src/io/tls-listener.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../../src/policy/mesh-settings.ts";
import type { TrustBundles } from "../../../src/pki/bundle.ts";
import { watchLoopLag } from "../../../src/observe/loop-lag.ts";
import { type AwaitedLog, createAwaitedLog } from "../../support/awaited-log.ts";
import { testRandom } from "../../support/test-control.ts";
import { type JoinOptions, joinSidecar, readBundles, type TestSidecar } from "./join-sidecar.ts";

/** A control plane in this process with its files in a temporary directory, and sidecars' ends of it. */
export interface ControlFixture {
  readonly directory: string;
  readonly log: AwaitedLog;
  readonly settings: MeshSettings;
  plane(): ControlPlane;
  bundles(): Promise<TrustBundles>;
  writePolicy(name: string, text: string): Promise<void>;
  removePolicy(name: string): Promise<void>;
  writeRegistry(name: string, document: unknown): Promise<void>;
  /** On the port that it had before, else on the one asked for, else on any. */
  start(atPort?: number): Promise<ControlPlane>;
  stop(): Promise<void>;
  join(name: string, options?: JoinOptions): Promise<TestSidecar>;
  status(): Promise<ControlStatus>;
  close(): Promise<void>;
}

export async function openControlFixture(settings: MeshSettings = DEFAULT_MESH_SETTINGS): Promise<ControlFixture> {
  const directory = await mkdtemp(join(tmpdir(), "cardea-control-"));
  const policiesDir = join(directory, "policies");
  const stateDir = join(directory, "state");
  const registryDir = join(stateDir, "registry");
  await mkdir(policiesDir);
  await mkdir(registryDir, { recursive: true });
  const state = openStateFiles(stateDir);
  const log = createAwaitedLog();
  const opened: { close(): void }[] = [];
  let plane: ControlPlane | null = null;
  // The port stays over a restart, as it does for a real one.
  let port = 0;

  async function start(atPort = 0): Promise<ControlPlane> {
    const config = {
      name: "test",
      stateDir,
      policiesDir,
      mesh: settings,
      listen: { host: "127.0.0.1", port: port || atPort },
      admin: { host: "127.0.0.1", port: 0 },
      logLevel: "debug",
    } as const;
    plane = await openControlPlane(config, {
      policies: openPolicySource(policiesDir),
      openRegistry: (context) =>
        openRegistry({ directory: openDirectory(registryDir, [".json"]), logger: log, ...context }),
      archive: openRevisionArchive(join(stateDir, "revisions")),
      state,
      listenTls,
      openAdmin: openHttpAdmin,
      clock: systemClock,
      random: testRandom,
      logger: log,
      version: "0.0.0-test",
      processMetrics: [watchLoopLag(systemClock)],
    });
    port = plane.address.port;
    return plane;
  }

  async function stop(): Promise<void> {
    await plane?.close(0);
    plane = null;
  }

  function running(): ControlPlane {
    if (plane === null) throw new Error("the control plane is not started");
    return plane;
  }

  return {
    directory,
    log,
    settings,
    plane: running,
    bundles: () => readBundles(stateDir),
    writePolicy: (name, text) => writeFile(join(policiesDir, name), text),
    removePolicy: (name) => rm(join(policiesDir, name)),
    writeRegistry: (name, document) =>
      writeFile(join(registryDir, name), typeof document === "string" ? document : JSON.stringify(document)),
    start,
    stop,
    async join(name, options) {
      const { address, spiffeId } = running();
      const sidecar = await joinSidecar({ address, spiffeId, stateDir }, name, options);
      opened.push(sidecar);
      return sidecar;
    },
    async status() {
      const { host, port: adminPort } = running().admin;
      const response = await fetch(`http://${host}:${adminPort}/status`);
      return (await response.json()) as ControlStatus;
    },
    async close() {
      for (const each of opened) each.close();
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The cell's value as soon as it is what is awaited. */
export function valueWhen<T, U extends T>(cell: Latest<T>, isAwaited: (value: T) => value is U): Promise<U>;
export function valueWhen<T>(cell: Latest<T>, isAwaited: (value: T) => boolean): Promise<T>;
export function valueWhen<T>(cell: Latest<T>, isAwaited: (value: T) => boolean): Promise<T> {
  return new Promise((resolve) => {
    if (isAwaited(cell.get())) {
      resolve(cell.get());
      return;
    }
    const unsubscribe = cell.subscribe((value) => {
      if (!isAwaited(value)) return;
      unsubscribe();
      resolve(value);
    });
  });
}

/** A policy document. */
export function policy(name: string, spec: string, namespace = "shop"): string {
  return [
    "apiVersion: security.istio.io/v1",
    "kind: AuthorizationPolicy",
    `metadata: {name: ${name}, namespace: ${namespace}}`,
    `spec: ${spec}`,
    "",
  ].join("\n");
}

/** A registry file of one service with one workload. */
export function registryOf(
  name: string,
  inboundPort: number,
  labels: Readonly<Record<string, string>> = { app: name },
) {
  const metadata = { name, namespace: "shop" };
  const apiVersion = "networking.istio.io/v1";
  return {
    apiVersion: "v1",
    kind: "List",
    items: [
      {
        apiVersion,
        kind: "ServiceEntry",
        metadata,
        spec: {
          hosts: [`${name}.shop.svc.cluster.local`],
          ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 8080 }],
          workloadSelector: { labels: { app: name } },
        },
      },
      {
        apiVersion,
        kind: "WorkloadEntry",
        metadata,
        spec: { address: "127.0.0.1", ports: { http: inboundPort }, labels, serviceAccount: name },
      },
    ],
  };
}

export function isPresent<T>(value: T | null): value is T {
  return value !== null;
}
