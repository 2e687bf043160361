import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCardea } from "../support/cardea.ts";
import { eventually, startTestMesh, type TestMesh } from "../support/local-mesh.ts";
import { meant, streamOf, unaryOf, workloadClient } from "../support/workload-api.ts";

// The identity socket of a real sidecar with a real control plane, found as an app finds it: by its environment.

interface SvidResponse {
  readonly svids: readonly { readonly spiffeId: string; readonly x509Svid: Buffer; readonly x509SvidKey: Buffer }[];
}

/** Linux, and koffi, which is optional, is installed. */
const KERNEL_IS_ASKED = process.platform === "linux" && isInstalled("koffi");

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await startTestMesh();
});
afterAll(() => mesh.close());

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

function socketOf(service: string): string {
  const { namespace } = mesh.service(service);
  return join(mesh.state, "sockets", `${namespace}.${service}.sock`);
}

describe("an app of a mesh on one machine", () => {
  test("is told where its socket is, which nobody else may use", () => {
    const app = mesh.service("web").app;
    if (process.platform === "linux") {
      const environment = readFileSync(`/proc/${app!.pid}/environ`, "utf8").split("\0");
      expect(environment).toContain(`SPIFFE_ENDPOINT_SOCKET=unix://${socketOf("web")}`);
    }
    expect(lstatSync(socketOf("web")).mode & 0o777).toBe(0o600);
    expect(lstatSync(join(mesh.state, "sockets")).mode & 0o777).toBe(0o700);
  });

  test("gets the workload's identity with a key that is not the sidecar's, and the next one when it is renewed", async () => {
    const client = workloadClient(socketOf("web"));
    const stream = streamOf<SvidResponse>(client, "FetchX509SVID", meant());
    const [svid] = (await stream.next()).svids;
    expect(svid!.spiffeId).toBe(mesh.service("web").principal);
    const leaf = new X509Certificate(svid!.x509Svid);
    expect(leaf.subjectAltName).toBe(`URI:${svid!.spiffeId}`);
    const key = createPrivateKey({ key: svid!.x509SvidKey, type: "pkcs8", format: "der" });
    expect(leaf.checkPrivateKey(key)).toBe(true);
    const { stdout } = await mesh.cardea("svid show", "--json");
    expect(stdout).not.toContain(leaf.fingerprint256.replaceAll(":", "").toLowerCase());
    expect(createPublicKey(key).asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });

    process.kill(mesh.service("web").sidecar!.pid, "SIGUSR2");
    const [next] = (await stream.next()).svids;
    expect(new X509Certificate(next!.x509Svid).serialNumber).not.toBe(leaf.serialNumber);
    stream.cancel();
    client.close();
  });

  test("gets a token for an audience, which another app's sidecar finds good, and nobody for another audience", async () => {
    const client = workloadClient(socketOf("web"));
    const { svids } = await unaryOf<{ svids: { svid: string; spiffeId: string }[] }>(
      client,
      "FetchJWTSVID",
      { audience: ["spiffe://cluster.local/ns/shop/sa/orders"] },
      meant(),
    );
    const { svid, spiffeId } = svids[0]!;
    expect(spiffeId).toBe(mesh.service("web").principal);
    const other = workloadClient(socketOf("orders"));
    const ask = (audience: string): Promise<{ spiffeId: string }> =>
      unaryOf(other, "ValidateJWTSVID", { audience, svid }, meant());
    expect((await ask("spiffe://cluster.local/ns/shop/sa/orders")).spiffeId).toBe(spiffeId);
    await expect(ask("spiffe://cluster.local/ns/shop/sa/ledger")).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    const { bundles } = await streamOf<{ bundles: Record<string, Buffer> }>(other, "FetchJWTBundles", meant()).next();
    expect(JSON.parse(String(bundles["spiffe://cluster.local"]))).toMatchObject({
      keys: [{ kty: "EC", crv: "P-256" }],
    });
    client.close();
    other.close();
  });

  test("is known to the kernel, which is asked who calls: also by a sidecar in one file, far from all packages", () => {
    const log = readFileSync(join(mesh.state, "log", "shop.web.sidecar.log"), "utf8");
    expect(log).toContain('"event":"identity-socket"');
    expect(log.includes('"event":"peer-credentials-absent"')).toBe(!KERNEL_IS_ASKED);
  });

  test("is told that it means it only when it says so", async () => {
    const client = workloadClient(socketOf("web"));
    const metadata = meant();
    metadata.remove("workload.spiffe.io");
    const stream = streamOf<SvidResponse>(client, "FetchX509SVID", metadata);
    await expect(stream.next()).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    client.close();
  });

  test("finds the socket again after its sidecar was killed", async () => {
    process.kill(mesh.service("web").sidecar!.pid, "SIGKILL");
    const answer = await eventually(async () => {
      const client = workloadClient(socketOf("web"));
      const stream = streamOf<SvidResponse>(client, "FetchX509SVID", meant());
      const svids = await stream.next().catch(() => null);
      stream.cancel();
      client.close();
      return svids ?? false;
    });
    expect(answer.svids[0]!.spiffeId).toBe(mesh.service("web").principal);
  });
});

test("a program that joins by `cardea run` has a socket of its own, for as long as it runs", async () => {
  const script =
    "console.log(process.env.SPIFFE_ENDPOINT_SOCKET); process.stdin.on('end', () => process.exit()).resume()";
  const words = ["run", "--service", "guest", "--state", mesh.state, "--", process.execPath, "-e", script];
  const guest = startCardea(words);
  const { value } = await guest.lines.next();
  const path = String(value).replace("unix://", "");
  const client = workloadClient(path);
  const stream = streamOf<SvidResponse>(client, "FetchX509SVID", meant());
  expect((await stream.next()).svids[0]!.spiffeId).toBe("spiffe://cluster.local/ns/default/sa/guest");
  stream.cancel();
  client.close();
  guest.child.kill("SIGTERM");
  await guest.finished;
  expect(existsSync(path)).toBe(false);
});
