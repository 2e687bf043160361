import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { parsePolicyFiles } from "../../../../src/config/policy-files.ts";
import { formatRevisionFile } from "../../../../src/config/revision-file.ts";
import { createPolicyContent, type PolicyContent } from "../../../../src/control/distribute/policy-content.ts";
import type { FlowQueries } from "../../../../src/control/flows/query.ts";
import { FlowStore } from "../../../../src/control/flows/store.ts";
import type { Ground } from "../../../../src/control/map/ground.ts";
import { openMap } from "../../../../src/control/map/open-map.ts";
import { type Authenticate, everybodyReads } from "../../../../src/control/map/readers.ts";
import { createLatest, type LatestSource } from "../../../../src/core/latest.ts";
import type { Fault } from "../../../../src/core/located.ts";
import { type SpiffeId, spiffeIdFor } from "../../../../src/core/spiffe-id.ts";
import { systemClock } from "../../../../src/io/clock.ts";
import { openDatabaseFiles } from "../../../../src/io/database-files.ts";
import type { FlowRecord } from "../../../../src/observe/flow.ts";
import { reachBetween } from "../../../../src/policy/analysis/reach.ts";
import { DEFAULT_MESH_SETTINGS, type MeshSettings } from "../../../../src/policy/mesh-settings.ts";
import { createKeptLog, type KeptLog } from "../../../support/kept-log.ts";

export const REVISION = "0a1b2c3d4e5f";

/** A map at a real port, over a real store, with policies and workloads of a test's own. */
export interface MapFixture {
  readonly port: number;
  readonly log: KeptLog;
  readonly policies: LatestSource<PolicyContent | null>;
  store(...flows: readonly FlowRecord[]): void;
  /** What is answered to a request as it is written here, whatever a browser would make of it. */
  get(path: string, headers?: Readonly<Record<string, string>>, method?: string): Promise<Got>;
  json<T>(path: string, token?: string): Promise<T>;
  close(): Promise<void>;
}

export interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface MapFixtureOptions {
  readonly policyText?: string;
  /** `namespace/name` with its app label and its one port. */
  readonly workloads?: readonly string[];
  readonly settings?: Partial<MeshSettings>;
  readonly authenticate?: Authenticate;
  /** The store, or one that fails. */
  readonly wrap?: (flows: FlowQueries) => FlowQueries;
}

export async function openMapFixture(options: MapFixtureOptions = {}): Promise<MapFixture> {
  const directory = mkdtempSync(join(tmpdir(), "cardea-map-"));
  const settings = { ...DEFAULT_MESH_SETTINGS, ...options.settings };
  const log = createKeptLog();
  const store = new FlowStore({
    files: openDatabaseFiles(directory, ".db"),
    retentionMs: 7 * 86_400_000,
    bytesMax: 1e9,
    nowMs: () => Date.now(),
    log: () => {},
  });
  const file = { path: `${directory}/policies/all.yaml`, text: options.policyText ?? "" };
  const parsed = parsePolicyFiles(options.policyText === undefined ? [] : [file]);
  if (parsed.faults.length > 0) throw new Error(JSON.stringify(parsed.faults));
  const content = createPolicyContent({ ...parsed, revision: REVISION }, loadMeshApi());
  writeFileSync(
    join(directory, `${REVISION}.json`),
    formatRevisionFile({ revision: REVISION, settings, files: [file] }),
  );
  const policies = createLatest<PolicyContent | null>(content);
  const workloads = (options.workloads ?? []).map((name) => workloadOf(name, settings));
  const ground: Ground = {
    workloads: () => workloads,
    reach: (now) =>
      Promise.resolve(
        reachBetween(workloads, {
          documents: policies.get()?.documents ?? [],
          authentication: policies.get()?.authentication ?? [],
          settings: now,
        }),
      ),
  };
  const flows = asked(store);
  const listening = await openMap({
    name: "test",
    settings,
    flows: options.wrap?.(flows) ?? flows,
    ground,
    policies,
    policyFaults: createLatest<readonly Fault[]>([]),
    sidecars: () => workloads.map(({ principal }) => statusOf(principal)),
    revisionsDirectory: directory,
    prefix: `${directory}/`,
    clock: systemClock,
    listen: { host: "127.0.0.1", port: 0 },
    tls: null,
    authenticate: options.authenticate ?? everybodyReads,
    registry: createLatest(0),
    logger: log,
  });
  const { port } = listening.address;
  const get: MapFixture["get"] = (path, headers = {}, method = "GET") => ask(port, { path, headers, method });
  return {
    port,
    log,
    policies,
    store(...records) {
      for (const flow of records) store.append(flow);
      store.commit();
    },
    get,
    async json<T>(path: string, token?: string): Promise<T> {
      const { status, body } = await get(path, token === undefined ? {} : { authorization: `Bearer ${token}` });
      if (status !== 200) throw new Error(`${status}: ${body}`);
      return JSON.parse(body) as T;
    },
    async close() {
      await listening.close();
      store.close();
      rmSync(directory, { recursive: true });
    },
  };
}

function workloadOf(id: string, { trustDomain }: MeshSettings) {
  const [namespace = "", name = ""] = id.split("/");
  return {
    name: id,
    namespace,
    labels: { app: name },
    principal: spiffeIdFor(trustDomain, namespace, name),
    ports: [{ port: 8080, protocols: ["http"] as const }],
    hosts: [`${name}.${namespace}.svc.cluster.local`],
  };
}

function statusOf(spiffeId: SpiffeId) {
  const nothing = { ackedRevision: null, ackedAt: null, refusal: null, certificateNotAfter: null };
  return { spiffeId, name: spiffeId, connected: true, ...nothing };
}

/** As the thread has it. */
function asked(store: FlowStore): FlowQueries {
  return {
    edges: async (query) => store.edges(query),
    decisions: async (query) => store.decisions(query),
    flows: async (query) => store.flows(query),
    flow: async (id, namespaces) => store.find(id, namespaces),
    follow: (filter, namespaces, onFlows) => store.follow(filter, namespaces, onFlows),
    span: async () => store.span(),
  };
}

function ask(
  port: number,
  { path, headers, method }: { path: string; headers: Readonly<Record<string, string>>; method: string },
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const call = httpRequest({ host: "127.0.0.1", port, path, headers, method, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: Buffer.concat(pieces).toString("utf8"),
        }),
      );
    });
    call.on("error", reject);
    call.end();
  });
}
