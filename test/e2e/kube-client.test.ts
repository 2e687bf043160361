import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseKubeconfig } from "../../src/config/kube-config.ts";
import type { KubeEvent } from "../../src/core/kube.ts";
import { KUBE } from "../../src/core/kube-resources.ts";
import { systemClock } from "../../src/io/clock.ts";
import { readText } from "../../src/io/files.ts";
import { type KubeClient, openKubeClient } from "../../src/io/kube-client.ts";
import { createSystemRandom } from "../../src/io/random.ts";
import { createKubeCertificates } from "../support/kube-certificates.ts";
import { type KubeCluster, openKubeCluster, whyNoKube } from "../support/kube-cluster.ts";

describe.skipIf(whyNoKube !== null)(`our client and a real API server (skipped where ${whyNoKube ?? "absent"})`, () => {
  let cluster: KubeCluster;
  let client: KubeClient;
  const clients: KubeClient[] = [];

  beforeAll(async () => {
    cluster = await openKubeCluster();
    client = await open(cluster.kubeconfig);
    await cluster.namespace("shop");
  }, 120_000);
  afterAll(async () => {
    await Promise.all(clients.map((each) => each.close()));
    await cluster?.close();
  }, 30_000);

  async function open(kubeconfig: string, change: (text: string) => string = (text) => text): Promise<KubeClient> {
    const connection = parseKubeconfig(change(await readText(kubeconfig)), kubeconfig);
    const options = { connection, clock: systemClock, random: createSystemRandom(), userAgent: "cardea/test" };
    const opened = openKubeClient(options);
    clients.push(opened);
    return opened;
  }

  test("an object is made, read, changed, patched and removed; what is not there is null or false", async () => {
    const made = await client.create(KUBE.configMaps, configMap("a", "1"));
    expect(await client.get(KUBE.configMaps, { namespace: "shop", name: "a" })).toMatchObject({ data: { value: "1" } });
    const changed = await client.update(KUBE.configMaps, { ...made, data: { value: "2" } });
    expect(changed).toMatchObject({ data: { value: "2" } });
    const at = { namespace: "shop", name: "a" };
    const patched = await client.patch(KUBE.configMaps, at, { type: "merge", body: { data: { more: "3" } } });
    expect(patched).toMatchObject({ data: { value: "2", more: "3" } });
    expect(await client.delete(KUBE.configMaps, at)).toBe(true);
    expect(await client.delete(KUBE.configMaps, at)).toBe(false);
    expect(await client.get(KUBE.configMaps, at)).toBeNull();
  });

  test("apply makes what is not there, and takes over what others own when forced alone", async () => {
    const at = { namespace: "shop", name: "applied" };
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata: at, data: { x: "1" } };
    await client.patch(KUBE.configMaps, at, { type: "apply", body, fieldManager: "one" });
    const other = { ...body, data: { x: "2" } };
    const asTwo = { type: "apply", body: other, fieldManager: "two" } as const;
    await expect(client.patch(KUBE.configMaps, at, asTwo)).rejects.toMatchObject({ code: "kube-conflict" });
    const forced = await client.patch(KUBE.configMaps, at, { ...asTwo, force: true });
    expect(forced).toMatchObject({ data: { x: "2" } });
  });

  test("the second of two creations, and of two changes of one version, is a conflict", async () => {
    const made = await client.create(KUBE.configMaps, configMap("b", "1"));
    await expect(client.create(KUBE.configMaps, configMap("b", "2"))).rejects.toMatchObject({ code: "kube-conflict" });
    await client.update(KUBE.configMaps, { ...made, data: { value: "2" } });
    const late = client.update(KUBE.configMaps, { ...made, data: { value: "3" } });
    await expect(late).rejects.toMatchObject({ code: "kube-conflict" });
  });

  test("long lists come page by page, whole", async () => {
    const names = Array.from({ length: 520 }, (_, index) => `many-${index}`);
    await cluster.must("POST", "/api/v1/namespaces", { metadata: { name: "many" } });
    for (let from = 0; from < names.length; from += 40)
      await Promise.all(
        names
          .slice(from, from + 40)
          .map((name) => client.create(KUBE.configMaps, { metadata: { name, namespace: "many" } })),
      );
    const { items } = await client.list(KUBE.configMaps, { namespace: "many" });
    expect(items).toHaveLength(520);
    expect(items[0]).toMatchObject({ apiVersion: "v1", kind: "ConfigMap" });
  });

  test("a watch tells what happens after a list, and ends when it is called off", async () => {
    const { resourceVersion } = await client.list(KUBE.configMaps, { namespace: "shop" });
    const abort = new AbortController();
    const options = { namespace: "shop", resourceVersion };
    const events = client.watch(KUBE.configMaps, options, abort.signal);
    await client.create(KUBE.configMaps, configMap("watched", "1"));
    await client.delete(KUBE.configMaps, { namespace: "shop", name: "watched" });
    const seen: KubeEvent["type"][] = [];
    for await (const event of events) {
      if ("object" in event) seen.push(event.type);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual(["ADDED", "DELETED"]);
    abort.abort();
    const after = client.watch(KUBE.configMaps, options, abort.signal)[Symbol.asyncIterator]();
    await expect(after.next()).rejects.toMatchObject({ code: "unreachable" });
  });

  test("refusals have their codes", async () => {
    const bad = client.create(KUBE.configMaps, { metadata: { name: "Not A Name", namespace: "shop" } });
    await expect(bad).rejects.toMatchObject({ code: "kube-refused" });
    const nowhere = client.create(KUBE.configMaps, { metadata: { name: "a", namespace: "nowhere" } });
    await expect(nowhere).rejects.toMatchObject({ code: "kube-absent" });
    await expect(client.list(KUBE.meshes)).rejects.toMatchObject({ code: "kube-absent" });
    const weak = await open(cluster.kubeconfigOf(await cluster.token("shop", "default")));
    await expect(weak.list(KUBE.pods)).rejects.toMatchObject({ code: "kube-forbidden" });
    const stranger = await open(cluster.kubeconfigOf("nonsense"));
    await expect(stranger.list(KUBE.pods)).rejects.toMatchObject({ code: "kube-forbidden" });
    await expect(client.get(KUBE.configMaps, { namespace: "shop", name: ".." })).rejects.toMatchObject({
      code: "kube-refused",
    });
  });

  test("a server with a certificate of another root hears nothing from us", async () => {
    const foreign = Buffer.from(createKubeCertificates().caPem).toString("base64");
    const wary = await open(cluster.kubeconfig, (text) =>
      text.replace(/"certificate-authority-data":"[^"]+"/, `"certificate-authority-data":"${foreign}"`),
    );
    await expect(wary.list(KUBE.pods)).rejects.toMatchObject({ code: "unreachable" });
  });

  test("a watch from before the history begins is gone", async () => {
    const options = { resourceVersion: "1" };
    const events = client.watch(KUBE.configMaps, options, new AbortController().signal);
    // The server's cache begins after its start; what is older it does not have.
    await cluster.stopServer();
    await cluster.startServer();
    await expect(toEnd(events)).rejects.toMatchObject({ code: expect.stringMatching(/^kube-gone$|^unreachable$/) });
  });
});

async function toEnd(events: AsyncIterable<KubeEvent>): Promise<void> {
  for await (const event of events) expect(event.type).toBe("OPENED");
}

function configMap(name: string, value: string) {
  return { metadata: { name, namespace: "shop" }, data: { value } };
}
