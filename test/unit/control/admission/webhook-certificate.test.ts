import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { holdServerCertificate, SERVER_CERTIFICATE_TTL_MS } from "../../../../src/control/ca/server-certificate.ts";
import { openAuthority } from "../../../../src/control/ca/authority.ts";
import { parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { trustBundlesOf } from "../../../../src/pki/bundle.ts";
import { verifyPeerChain } from "../../../../src/pki/verify.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createMemoryStateFiles } from "../../../support/memory-state-files.ts";
import { createSeededRandom, createSimulatedClock } from "../../../support/simulated-clock.ts";

const NAME = "cardea-control.cardea-system.svc";

async function setUp() {
  const clock = createSimulatedClock(1_800_000_000_000);
  const random = createSeededRandom(1);
  const logger = createKeptLog();
  const trustDomain = parseTrustDomain("cluster.local");
  const files = createMemoryStateFiles();
  const authority = await openAuthority({ files, trustDomain, clock, random, logger });
  const held = await holdServerCertificate({ authority, dnsNames: [NAME], clock, random, logger });
  return { clock, authority, held };
}

function chainOf(pem: string): readonly X509Certificate[] {
  return pem.split(/(?<=-----END CERTIFICATE-----\n)/).map((each) => new X509Certificate(each));
}

describe("the certificate of the webhooks", () => {
  test("is for the name of our service, below the root that is patched into the configurations", async () => {
    const { authority, held } = await setUp();
    const [leaf, intermediate] = chainOf(held.material.get().chainPem);
    const root = new X509Certificate(authority.bundle.pem);
    expect(leaf!.checkHost(NAME)).toBe(NAME);
    expect(leaf!.verify(intermediate!.publicKey) && intermediate!.verify(root.publicKey)).toBe(true);
    expect(leaf!.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  });

  test("is renewed, with another key, long before it ends", async () => {
    const { clock, held } = await setUp();
    const first = held.material.get();
    await clock.advance(SERVER_CERTIFICATE_TTL_MS / 2 + 60_000);
    expect(held.material.get().keyPem).not.toBe(first.keyPem);
    expect(held.notAfterMs()).toBeGreaterThan(clock.wallMs() + SERVER_CERTIFICATE_TTL_MS / 2);
  });

  test.each(["kubernetes.default.svc", "cardea-control.other.svc", "cardea-control.cardea-system.svc.evil.example"])(
    "is not for %s",
    async (name) => {
      const { held } = await setUp();
      expect(chainOf(held.material.get().chainPem)[0]!.checkHost(name)).toBeUndefined();
    },
  );

  test("is no identity: no sidecar and no control plane takes it for one", async () => {
    const { authority, held, clock } = await setUp();
    const chain = chainOf(held.material.get().chainPem).map(({ raw }) => raw);
    expect(() => verifyPeerChain(chain, trustBundlesOf(authority.bundle), clock.wallMs())).toThrow(
      expect.objectContaining({ code: "peer-identity-invalid" }),
    );
  });
});
