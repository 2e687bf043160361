import { createPrivateKey, createPublicKey } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CardeaError } from "../../../../src/core/errors.ts";
import { LIMITS } from "../../../../src/core/limits.ts";
import { trustBundlesOf } from "../../../../src/pki/bundle.ts";
import { parseCertificate } from "../../../../src/pki/certificate.ts";
import { verifyPeerChain } from "../../../../src/pki/verify.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { createTestAuthority } from "../../../support/test-authority.ts";
import {
  APP_ID,
  meant,
  type ServedApi,
  type ServedApiOptions,
  serveWorkloadApi,
  streamOf,
  workloadClient,
} from "../../../support/workload-api.ts";

interface Svid {
  readonly spiffeId: string;
  readonly x509Svid: Buffer;
  readonly x509SvidKey: Buffer;
  readonly bundle: Buffer;
  readonly hint: string;
}
interface SvidResponse {
  readonly svids: readonly Svid[];
  readonly federatedBundles: Readonly<Record<string, Buffer>>;
}
interface BundlesResponse {
  readonly bundles: Readonly<Record<string, Buffer>>;
}

let served: ServedApi;
const cleanups: (() => unknown)[] = [];

async function serve(options: ServedApiOptions = {}): Promise<void> {
  served = await serveWorkloadApi(options);
  cleanups.push(() => served.close());
}

function client() {
  const made = workloadClient(served.path);
  cleanups.push(() => made.close());
  return made;
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

describe("FetchX509SVID", () => {
  beforeEach(() => serve());

  test("gives a chain for the workload's SPIFFE ID, its key and its bundle", async () => {
    const { svids, federatedBundles } = await streamOf<SvidResponse>(client(), "FetchX509SVID", meant()).next();
    expect(svids).toHaveLength(1);
    const [svid] = svids;
    expect(svid).toMatchObject({ spiffeId: APP_ID, hint: "" });
    expect(federatedBundles).toEqual({});
    const chain = certificatesIn(svid!.x509Svid);
    expect(chain).toHaveLength(2);
    expect(verifyPeerChain(chain, served.bundles.get(), Date.now()).spiffeId).toBe(APP_ID);
    const key = createPrivateKey({ key: svid!.x509SvidKey, type: "pkcs8", format: "der" });
    const publicKey = createPublicKey(key).export({ type: "spki", format: "der" });
    expect(parseCertificate(chain[0]!).publicKey.equals(publicKey)).toBe(true);
    expect(certificatesIn(svid!.bundle)).toEqual(served.authority.bundle.roots.map((root) => root.certificate.der));
  });

  test("gives a key that is not the sidecar's, proved for by the sidecar's certificate", async () => {
    const { svids } = await streamOf<SvidResponse>(client(), "FetchX509SVID", meant()).next();
    const sidecarLeaf = served.sidecar.get()!.chainDer[0]!;
    const leaf = certificatesIn(svids[0]!.x509Svid)[0]!;
    expect(parseCertificate(leaf).publicKey.equals(parseCertificate(sidecarLeaf).publicKey)).toBe(false);
    expect(served.asked).toEqual([served.sidecar.get()!.serial]);
  });

  test("asks the authority once for all callers, and never before somebody calls", async () => {
    expect(served.asked).toEqual([]);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => streamOf<SvidResponse>(client(), "FetchX509SVID", meant()).next()),
    );
    expect(new Set(answers.map(({ svids }) => svids[0]!.x509Svid.toString("hex"))).size).toBe(1);
    expect(served.asked).toHaveLength(1);
  });

  test("pushes the next certificate on the open stream when it is renewed", async () => {
    const stream = streamOf<SvidResponse>(client(), "FetchX509SVID", meant());
    const first = await stream.next();
    served.api.renew();
    const second = await stream.next();
    expect(second.svids[0]!.x509Svid.equals(first.svids[0]!.x509Svid)).toBe(false);
    expect(second.svids[0]!.x509SvidKey.equals(first.svids[0]!.x509SvidKey)).toBe(false);
  });
});

describe("FetchX509SVID is refused", () => {
  test.each([
    ["without the security header", []],
    ["with another value of it", ["True"]],
    ["with the header twice", ["true", "true"]],
  ])("%s, as InvalidArgument", async (_name, values) => {
    await serve();
    const metadata = meant();
    metadata.remove("workload.spiffe.io");
    for (const value of values) metadata.add("workload.spiffe.io", value);
    const stream = streamOf<SvidResponse>(client(), "FetchX509SVID", metadata);
    await expect(stream.next()).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(served.asked).toEqual([]);
  });

  test("as PermissionDenied when the authority does not know the workload", async () => {
    await serve({
      requestCertificate: () => Promise.reject(new CardeaError("attestation-failed", "no pod runs as it")),
    });
    const stream = streamOf<SvidResponse>(client(), "FetchX509SVID", meant());
    await expect(stream.next()).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
      details: "no identity issued: no pod runs as it",
    });
  });

  test("as Unavailable when the authority does not answer for as long as a caller waits", async () => {
    const clock = createSimulatedClock(Date.now());
    await serve({ clock, requestCertificate: () => Promise.reject(new CardeaError("unreachable", "the authority")) });
    const stream = streamOf<SvidResponse>(client(), "FetchX509SVID", meant());
    const failed = expect(stream.next()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await until(() => served.asked.length > 0);
    await clock.advance(LIMITS.workloadApiWaitMs + 1_000);
    await failed;
  });

  test("as PermissionDenied once the certificate has ended without a successor", async () => {
    const clock = createSimulatedClock(Date.now());
    let count = 0;
    await serve({
      clock,
      requestCertificate: ({ csrPem }) => {
        count += 1;
        if (count > 1) return Promise.reject(new CardeaError("attestation-failed", "gone"));
        return Promise.resolve(served.authority.sign(csrPem));
      },
    });
    const stream = streamOf<SvidResponse>(client(), "FetchX509SVID", meant());
    await stream.next();
    const ended = expect(stream.next()).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    await clock.advance(3_700_000);
    await ended;
  });

  test("not while the sidecar has no certificate yet: the caller waits for it", async () => {
    await serve({ sidecar: null });
    const stream = streamOf<SvidResponse>(client(), "FetchX509SVID", meant());
    const answer = stream.next();
    const bundles = streamOf<BundlesResponse>(client(), "FetchX509Bundles", meant());
    await bundles.next();
    expect(served.asked).toEqual([]);
    served.sidecar.set(served.authority.issue(APP_ID));
    expect((await answer).svids[0]!.spiffeId).toBe(APP_ID);
  });
});

describe("FetchX509Bundles", () => {
  test("gives the roots by trust domain, without asking for a certificate", async () => {
    await serve();
    const { bundles } = await streamOf<BundlesResponse>(client(), "FetchX509Bundles", meant()).next();
    expect(Object.keys(bundles)).toEqual(["spiffe://cluster.local"]);
    expect(served.asked).toEqual([]);
  });

  test("pushes a federated domain's roots when they come, and their end when they go", async () => {
    await serve();
    const stream = streamOf<BundlesResponse>(client(), "FetchX509Bundles", meant());
    await stream.next();
    const other = createTestAuthority("partner.example");
    const own = served.bundles.get();
    served.bundles.set(trustBundlesOf(...own.values(), other.bundle));
    const { bundles } = await stream.next();
    expect(Object.keys(bundles).toSorted()).toEqual(["spiffe://cluster.local", "spiffe://partner.example"]);
    expect(certificatesIn(bundles["spiffe://partner.example"]!)).toEqual([other.bundle.roots[0]!.certificate.der]);
    served.bundles.set(own);
    expect(Object.keys((await stream.next()).bundles)).toEqual(["spiffe://cluster.local"]);
  });

  test("is refused without the security header", async () => {
    await serve();
    const metadata = meant();
    metadata.remove("workload.spiffe.io");
    const stream = streamOf<BundlesResponse>(client(), "FetchX509Bundles", metadata);
    await expect(stream.next()).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

test("an identity of a workload with federated domains brings their roots along", async () => {
  const other = createTestAuthority("partner.example");
  await serve({ federated: [other.bundle] });
  const { federatedBundles, svids } = await streamOf<SvidResponse>(client(), "FetchX509SVID", meant()).next();
  expect(Object.keys(federatedBundles)).toEqual(["spiffe://partner.example"]);
  expect(federatedBundles["spiffe://partner.example"]!.equals(other.bundle.roots[0]!.certificate.der)).toBe(true);
  expect(certificatesIn(svids[0]!.bundle)).toHaveLength(1);
});

/** DER certificates, one behind the other. */
function certificatesIn(bytes: Buffer): readonly Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    // Ours are longer than 255 octets and shorter than 65,536: two octets of length.
    expect(bytes.readUInt16BE(at)).toBe(0x3082);
    const end = at + 4 + bytes.readUInt16BE(at + 2);
    found.push(bytes.subarray(at, end));
    at = end;
  }
  return found;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
