import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseSpiffeId, parseTrustDomain } from "../../../../src/core/spiffe-id.ts";
import { systemClock } from "../../../../src/io/clock.ts";
import { createSocketNetwork } from "../../../../src/io/sockets.ts";
import { trustBundlesOf } from "../../../../src/pki/bundle.ts";
import { createSigningRequest } from "../../../../src/pki/csr.ts";
import { generateKeyPair } from "../../../../src/pki/keys.ts";
import { acceptChain } from "../../../../src/proxy/identity/accept-chain.ts";
import {
  type CertificateClientOptions,
  createCertificateClient,
} from "../../../../src/proxy/identity/certificate-client.ts";
import type { Identity } from "../../../../src/proxy/identity/identity.ts";
import { holdIdentity } from "../../../../src/proxy/identity/renew.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createTestAuthority } from "../../../support/test-authority.ts";
import { startTestControl, type TestControl, testRandom } from "../../../support/test-control.ts";

const WEB = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/web");

let control: TestControl;
let token: string | null;

beforeEach(async () => {
  control = await startTestControl();
  token = await control.mint(WEB);
});

afterEach(() => control.close());

function optionsOf(more: Partial<CertificateClientOptions> = {}): CertificateClientOptions {
  return {
    control,
    bundles: control.bundles,
    readJoinToken: async () => token,
    network: createSocketNetwork(),
    clock: systemClock,
    ...more,
  };
}

async function ask(identity: Identity | null, more: Partial<CertificateClientOptions> = {}): Promise<Identity> {
  const keys = generateKeyPair();
  const request = createCertificateClient(optionsOf(more));
  const { signal } = new AbortController();
  const chain = await request({ csrPem: createSigningRequest(keys, WEB), ttlSec: 60, identity }, signal);
  return acceptChain(chain, { keys, spiffeId: WEB, bundles: control.bundles, nowMs: Date.now() });
}

describe("the certificate client", () => {
  it("joins by token, and renews by what it got, the token being spent", async () => {
    const joined = await ask(null);
    const renewed = await ask(joined);
    expect(renewed.serial).not.toBe(joined.serial);
    const issued = control.log.lines.filter((line) => line.event === "svid-issued");
    expect(issued.map((line) => line.fields["attestation"])).toEqual(["join-token", "svid"]);
  });

  it("reads the token at each attempt, so that a new one takes effect", async () => {
    token = "spent long ago";
    await expect(ask(null)).rejects.toMatchObject({ code: "attestation-failed" });
    token = `${await control.mint(WEB)}\n`;
    expect((await ask(null)).spiffeId).toBe(WEB);
  });

  it.each([null, "", " \n"])("says so when there is nothing to show (token %j)", async (nothing) => {
    token = nothing;
    await expect(ask(null)).rejects.toMatchObject({ code: "attestation-failed" });
    expect(control.log.events()).not.toContain("svid-refused");
  });

  it("holds an identity over a real connection, from the first request on", async () => {
    const holder = holdIdentity({
      spiffeId: WEB,
      bundles: control.bundles,
      ttlSec: 60,
      requestCertificate: createCertificateClient(optionsOf()),
      clock: systemClock,
      random: testRandom,
      logger: createKeptLog(),
    });
    const held = new Promise<Identity | null>((resolve) => void holder.identity.subscribe(resolve));
    holder.begin();
    const identity = await held;
    expect(identity?.spiffeId).toBe(WEB);
    holder.close();
  });
});

describe("the certificate client gives its token to nobody but the control plane", () => {
  it("when the server proves another identity", async () => {
    const spiffeId = parseSpiffeId("spiffe://cluster.local/ns/cardea-system/sa/other");
    await expect(ask(null, { control: { address: control.address, spiffeId } })).rejects.toMatchObject({
      code: "unreachable",
      message: expect.stringContaining("the control plane proved"),
    });
  });

  it("when another authority of the same name vouches for the server", async () => {
    const bundles = trustBundlesOf(createTestAuthority().bundle);
    await expect(ask(null, { bundles })).rejects.toMatchObject({ code: "unreachable" });
  });

  it("when the server's root is trusted for another domain alone", async () => {
    const other = parseTrustDomain("other.example");
    const bundles = new Map([[other, { ...control.authority.bundle, trustDomain: other }]]);
    await expect(ask(null, { bundles })).rejects.toMatchObject({
      code: "unreachable",
      message: expect.stringContaining("no roots are known for trust domain cluster.local"),
    });
  });

  afterEach(() => {
    // The token is still good: no server has seen it.
    expect(control.files.texts.size).toBe(4);
  });
});

describe("the certificate client", () => {
  it("says that the authority cannot be reached when nothing listens", async () => {
    await control.close();
    await expect(ask(null)).rejects.toMatchObject({ code: "unreachable" });
    control = await startTestControl();
  });

  it.each([
    ["before it is sent", 0],
    ["while it is under way", 1],
  ])("ends a call when it is told to, %s", async (_what, turns) => {
    const abort = new AbortController();
    const request = createCertificateClient(optionsOf());
    const csrPem = createSigningRequest(generateKeyPair(), WEB);
    const pending = request({ csrPem, ttlSec: 60, identity: null }, abort.signal);
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    abort.abort();
    await expect(pending).rejects.toMatchObject({ code: "unreachable" });
    expect(control.log.events()).not.toContain("svid-issued");
  });
});
