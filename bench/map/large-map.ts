import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadMeshApi } from "../../src/api/load.ts";
import { parsePolicyFiles } from "../../src/config/policy-files.ts";
import { createPolicyContent } from "../../src/control/distribute/policy-content.ts";
import { createRegistryBuilder } from "../../src/control/distribute/registry-content.ts";
import { parseRegistryFile } from "../../src/control/distribute/registry-documents.ts";
import { openFlowStore, startStoreThread } from "../../src/control/flows/open-store.ts";
import { FlowStore } from "../../src/control/flows/store.ts";
import { createGround } from "../../src/control/map/ground.ts";
import { openMap } from "../../src/control/map/open-map.ts";
import { everybodyReads } from "../../src/control/map/readers.ts";
import { createLatest } from "../../src/core/latest.ts";
import type { Fault } from "../../src/core/located.ts";
import type { Listening, Logger } from "../../src/core/ports.ts";
import { systemClock } from "../../src/io/clock.ts";
import { openDatabaseFiles } from "../../src/io/database-files.ts";
import { DEFAULT_MESH_SETTINGS } from "../../src/policy/mesh-settings.ts";
import { sampleFlows } from "../flows/sample-flows.ts";

export interface LargeMap {
  readonly url: string;
  close(): Promise<void>;
}

const CALLS = 3;
const HOUR_MS = 3_600_000;

/** A map of so many services with a policy each, and an hour of their traffic, up to now. */
export async function openLargeMap(services: number, flows: number): Promise<LargeMap> {
  const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "cardea-map-"));
  fillStore(directory, services, flows);
  const logger: Logger = {
    log: (level, event, fields) => void process.stderr.write(`${level} ${event} ${JSON.stringify(fields)}\n`),
    isEnabled: () => true,
  };
  const retention = { retentionMs: 7 * 24 * HOUR_MS, bytesMax: 1e11 };
  const store = await openFlowStore(
    { directory, ...retention },
    { logger, clock: systemClock, start: startStoreThread },
  );
  const api = loadMeshApi();
  const policies = createLatest(createPolicyContent({ ...policiesOf(services), revision: "0a1b2c3d4e5f" }, api));
  const registry = createLatest(registryOf(services));
  const map: Listening = await openMap({
    name: `${services} services`,
    settings: DEFAULT_MESH_SETTINGS,
    flows: store,
    ground: createGround({ registry, policies, api, clock: systemClock }),
    policies,
    policyFaults: createLatest<readonly Fault[]>([]),
    sidecars: () =>
      registry.get().workloads.map(({ spiffeId, name }) => ({
        spiffeId,
        name,
        connected: true,
        ackedRevision: null,
        ackedAt: null,
        refusal: null,
        certificateNotAfter: null,
      })),
    revisionsDirectory: directory,
    prefix: "",
    clock: systemClock,
    listen: { host: "127.0.0.1", port: 0 },
    tls: null,
    authenticate: everybodyReads,
    registry,
    logger,
  });
  return {
    url: `http://127.0.0.1:${map.address.port}`,
    async close() {
      await map.close();
      await store.close();
      rmSync(directory, { recursive: true });
    },
  };
}

function fillStore(directory: string, services: number, count: number): void {
  const nowMs = systemClock.wallMs();
  const store = new FlowStore({
    files: openDatabaseFiles(directory, ".db"),
    retentionMs: 7 * 24 * HOUR_MS,
    bytesMax: 1e11,
    nowMs: () => nowMs,
    log: (level, event) => void process.stderr.write(`${level} ${event}\n`),
  });
  const make = sampleFlows({ services, callsPerService: CALLS });
  for (let i = 0; i < count; i++) {
    store.append(make(i, nowMs - HOUR_MS + (i / count) * HOUR_MS));
    if (i % 1_000 === 999) store.commit();
  }
  store.commit();
  store.tend();
  store.close();
}

/** As `sampleFlows` has it. */
function callersOf(services: number): ReadonlyMap<number, readonly number[]> {
  const callers = new Map<number, number[]>();
  for (let from = 0; from < services; from++)
    for (let i = 1; i <= CALLS; i++) {
      const to = (from * 7 + i * 13) % services;
      callers.set(to, [...(callers.get(to) ?? []), from]);
    }
  return callers;
}

function policiesOf(services: number): ReturnType<typeof parsePolicyFiles> {
  const callers = callersOf(services);
  const files = Array.from({ length: services }, (_, i) => {
    const principals = (callers.get(i) ?? []).map((from) => `cluster.local/ns/team-${from % 20}/sa/service-${from}`);
    const rule = {
      from: [{ source: { principals: principals.length === 0 ? ["cluster.local/ns/none/sa/none"] : principals } }],
      to: [{ operation: { methods: ["GET", "POST"], paths: ["/orders/*", "/v1/*"], ports: ["8080"] } }],
    };
    const metadata = { name: `service-${i}`, namespace: `team-${i % 20}` };
    const spec = { selector: { matchLabels: { app: `service-${i}` } }, action: "ALLOW", rules: [rule, rule, rule] };
    const document = { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec };
    return { path: `policies/service-${i}.yaml`, text: JSON.stringify(document) };
  });
  return parsePolicyFiles(files);
}

function registryOf(services: number) {
  const builder = createRegistryBuilder({ api: loadMeshApi(), trustDomain: "cluster.local" });
  const faults: Fault[] = [];
  const documents = Array.from({ length: services }, (_, i) => {
    const metadata = { name: `service-${i}`, namespace: `team-${i % 20}` };
    const labels = { app: `service-${i}` };
    const ports = [{ number: 8080, name: "http-8080", protocol: "HTTP" }];
    const host = `${metadata.name}.${metadata.namespace}.svc.cluster.local`;
    const items = [
      {
        apiVersion: "networking.istio.io/v1",
        kind: "ServiceEntry",
        metadata,
        spec: { hosts: [host], ports, workloadSelector: { labels }, location: "MESH_INTERNAL", resolution: "STATIC" },
      },
      {
        apiVersion: "networking.istio.io/v1",
        kind: "WorkloadEntry",
        metadata,
        spec: { address: "127.0.0.1", ports: { "http-8080": 15_106 }, labels, serviceAccount: metadata.name },
      },
    ];
    return parseRegistryFile(JSON.stringify({ apiVersion: "v1", kind: "List", items }), `${i}.json`, faults);
  });
  if (faults.length > 0) throw new Error(JSON.stringify(faults[0]));
  const all = documents.filter((each) => each !== null);
  return builder.build("1", {
    services: all.flatMap((each) => each.services),
    workloads: all.flatMap((each) => each.workloads),
  });
}
