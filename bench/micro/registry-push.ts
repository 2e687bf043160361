import { loadMeshApi } from "../../src/api/load.ts";
import { createDeltaStream } from "../../src/control/distribute/delta-stream.ts";
import { createScope } from "../../src/control/distribute/scope.ts";
import { openKubeRegistry } from "../../src/control/kube/registry-source.ts";
import { ADDRESS_TYPE } from "../../src/api/resource-types.ts";
import { KUBE } from "../../src/core/kube-resources.ts";
import { createLatest } from "../../src/core/latest.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import { DEFAULT_MESH_SETTINGS } from "../../src/policy/mesh-settings.ts";
import { createKeptLog } from "../../test/support/kept-log.ts";
import { podObject, serviceObject, sliceObject } from "../../test/support/kube-objects.ts";
import { createMemoryKube } from "../../test/support/memory-kube.ts";

// What a change of one endpoint costs a control plane with many services and connected sidecars, in processor time, from
// the API's event to the last response handed over. Run: node bench/micro/registry-push.ts [services] [pods]

const services = Number(process.argv[2] ?? 500);
const pods = Number(process.argv[3] ?? 1_000);
const CHANGES = 50;

const kube = createMemoryKube();
const port = [{ name: "http", port: 8_080 }];
const podsOf = Map.groupBy(
  Array.from({ length: pods }, (_, index) => index),
  (index) => index % services,
);
for (let service = 0; service < services; service += 1) {
  const name = `service-${service}`;
  kube.put(KUBE.services, serviceObject(name, [{ name: "http", port: 80 }]));
  const own = (podsOf.get(service) ?? []).map((index) => ({ pod: `pod-${index}` }));
  kube.put(KUBE.endpointSlices, sliceObject(name, own, port));
  for (const { pod } of own)
    kube.put(KUBE.pods, podObject(pod, { labels: { app: name }, serviceAccount: name, ip: "10.0.0.1" }));
}

const api = loadMeshApi();
const registry = await openKubeRegistry({
  kube,
  api,
  trustDomain: "cluster.local",
  clusterDomain: "cluster.local",
  clock: systemClock,
  random: createSystemRandom(),
  logger: createKeptLog(),
});
const viewFor = createScope({
  registry: registry.content,
  policies: createLatest(null),
  settings: DEFAULT_MESH_SETTINGS,
  api,
});

let sent = 0;
const identities = [...registry.pods.values()].map(({ spiffeId }) => spiffeId);
const streams = identities.map((spiffeId) => {
  const stream = createDeltaStream({
    view: () => viewFor(spiffeId),
    send(response) {
      sent += 1;
      // The sidecar acknowledges at once.
      stream.receive(request(response.nonce ?? ""));
    },
    fail: (error) => {
      throw error;
    },
    onSubscribe: () => undefined,
    onAnswer: () => undefined,
    onUnknownType: () => undefined,
    onConverged: () => undefined,
    clock: systemClock,
  });
  stream.receive(request(""));
  return stream;
});
await quiet();
registry.content.subscribe(() => {
  for (const stream of streams) stream.push(systemClock.monotonicMs());
});

let totalMs = 0;
for (let change = 0; change < CHANGES; change += 1) {
  const service = change % services;
  const own = (podsOf.get(service) ?? []).map((index) => ({ pod: `pod-${index}`, ready: change % 2 === 1 }));
  const before = process.cpuUsage();
  sent = 0;
  kube.put(KUBE.endpointSlices, sliceObject(`service-${service}`, own.with(0, { ...own[0]!, ready: false }), port));
  await quiet();
  const used = process.cpuUsage(before);
  totalMs += (used.user + used.system) / 1_000;
}
const { rss } = process.memoryUsage();
const perChange = (totalMs / CHANGES).toFixed(2);
process.stdout.write(
  `${services} services, ${pods} sidecars: ${perChange} ms of processor time a change, ${sent} responses; ${Math.round(rss / 2 ** 20)} MiB\n`,
);
registry.close();
for (const stream of streams) stream.close();

/** Until no stream has anything to send. */
async function quiet(): Promise<void> {
  let before = -1;
  await new Promise((resolve) => {
    setTimeout(resolve, 30);
  });
  while (before !== sent) {
    before = sent;
    await new Promise((resolve) => {
      setImmediate(() => setImmediate(resolve));
    });
  }
}

function request(responseNonce: string) {
  return {
    node: null,
    typeUrl: ADDRESS_TYPE,
    responseNonce,
    errorDetail: null,
    initialResourceVersions: {},
    resourceNamesSubscribe: [],
    resourceNamesUnsubscribe: [],
  } as never;
}
