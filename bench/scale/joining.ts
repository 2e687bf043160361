import { parseTrustDomain } from "../../src/core/spiffe-id.ts";
import type { Network } from "../../src/core/ports.ts";
import { systemClock } from "../../src/io/clock.ts";
import { parseTrustBundle, trustBundlesOf } from "../../src/pki/bundle.ts";
import { createSigningRequest } from "../../src/pki/csr.ts";
import { generateKeyPair } from "../../src/pki/keys.ts";
import { acceptChain } from "../../src/proxy/identity/accept-chain.ts";
import { createCertificateClient } from "../../src/proxy/identity/certificate-client.ts";
import type { Identity } from "../../src/proxy/identity/identity.ts";
import type { ControlPlace } from "./simulated-sidecar.ts";
import type { WorldSidecar } from "./world.ts";

interface JoinOrder {
  readonly sidecars: readonly (WorldSidecar & { readonly token: string })[];
  readonly control: ControlPlace;
  readonly rootPem: string;
  readonly network: Network;
}

interface Joined {
  readonly about: WorldSidecar;
  readonly identity: Identity;
}

const JOINING_AT_ONCE = 16;

/** Each gets a certificate of the real authority, by the sidecar's own client. */
export async function joinAll({ sidecars, control, rootPem, network }: JoinOrder): Promise<readonly Joined[]> {
  const bundles = trustBundlesOf(parseTrustBundle(parseTrustDomain("cluster.local"), rootPem));
  const joined: Joined[] = [];
  await eachOf(sidecars, JOINING_AT_ONCE, async ({ token, ...about }) => {
    const readJoinToken = (): Promise<string> => Promise.resolve(token);
    const ask = createCertificateClient({ control, bundles, network, clock: systemClock, readJoinToken });
    const keys = generateKeyPair();
    const { spiffeId } = about;
    const csrPem = createSigningRequest(keys, spiffeId);
    const chain = await ask({ csrPem, ttlSec: 3_600, identity: null }, new AbortController().signal);
    joined.push({ about, identity: acceptChain(chain, { keys, spiffeId, bundles, nowMs: systemClock.wallMs() }) });
  });
  return joined;
}

/** So many at a time. */
export async function eachOf<T>(items: readonly T[], atOnce: number, act: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const lane = async (): Promise<void> => {
    for (const item of queue) await act(item);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}
