import { randomBytes } from "node:crypto";
import { openAuthority } from "../../src/control/ca/authority.ts";
import { createSvidIssuer } from "../../src/control/ca/issue.ts";
import { parseTrustDomain, spiffeIdFor } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { trustBundlesOf } from "../../src/pki/bundle.ts";
import { parseCertificate } from "../../src/pki/certificate.ts";
import { createSigningRequest, parseSigningRequest } from "../../src/pki/csr.ts";
import { generateKeyPair } from "../../src/pki/keys.ts";
import { verifyPeerChain } from "../../src/pki/verify.ts";
import { createKeptLog } from "../../test/support/kept-log.ts";
import { createMemoryStateFiles } from "../../test/support/memory-state-files.ts";

// What one SVID costs the authority, and one handshake whoever verifies: node bench/micro/issue-svid.ts [rounds]
const rounds = Number(process.argv[2] ?? 3_000);
const random = { bytes: randomBytes, float: Math.random };
const trustDomain = parseTrustDomain("cluster.local");
const files = createMemoryStateFiles();
const authority = await openAuthority({ files, trustDomain, clock: systemClock, random, logger: createKeptLog() });
const issue = createSvidIssuer({ authority, clock: systemClock, random });
const spiffeId = spiffeIdFor(trustDomain, "shop", "web");
const bundles = trustBundlesOf(authority.bundle);

const keys = generateKeyPair();
const csrPem = createSigningRequest(keys, spiffeId);
const { chainDer } = await issue({ spiffeId, publicKey: keys.publicKey, ttlSec: 0 });
const presented = chainDer.slice(0, -1);

await measure("authority: request in, chain out", async () => {
  const { publicKey } = parseSigningRequest(csrPem);
  await issue({ spiffeId, publicKey, ttlSec: 0 });
});
await measure("  of which: read and verify the request", () => parseSigningRequest(csrPem));
await measure("  of which: build and sign", () => issue({ spiffeId, publicKey: keys.publicKey, ttlSec: 0 }));
await measure("sidecar: key and request", () => createSigningRequest(generateKeyPair(), spiffeId));
await measure("handshake: verify a chain, intermediate known", () =>
  verifyPeerChain(presented, bundles, systemClock.wallMs()),
);
await measure("  of which: read the leaf", () => parseCertificate(chainDer[0]!));

async function measure(name: string, act: () => unknown): Promise<void> {
  for (let round = 0; round < rounds / 10; round += 1) await act();
  const startUs = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) await act();
  const { user, system } = process.cpuUsage(startUs);
  const eachUs = (user + system) / rounds;
  const perSecond = Math.round(1_000_000 / eachUs);
  process.stdout.write(
    `${name.padEnd(48)} ${eachUs.toFixed(1).padStart(8)} µs CPU ${String(perSecond).padStart(8)}/s a core\n`,
  );
}
