import type { Address } from "../../src/core/ports.ts";
import { parseTrustDomain, type SpiffeId, spiffeIdFor } from "../../src/core/spiffe-id.ts";
import { systemClock } from "../../src/io/clock.ts";
import { createSocketNetwork } from "../../src/io/sockets.ts";
import { parseTrustBundle, trustBundlesOf } from "../../src/pki/bundle.ts";
import { createSigningRequest } from "../../src/pki/csr.ts";
import { generateKeyPair } from "../../src/pki/keys.ts";
import { openDiscovery } from "../../src/proxy/discovery/discovery.ts";
import { createCertificateClient } from "../../src/proxy/identity/certificate-client.ts";
import { holdIdentity } from "../../src/proxy/identity/renew.ts";
import type { TestSidecar } from "../unit/control/join-sidecar.ts";
import { createAwaitedLog } from "./awaited-log.ts";
import { testRandom } from "./test-control.ts";

/** What a pod finds of the control plane: where it is, who it must be, and the root from the ConfigMap. */
export interface KubeControlTarget {
  readonly address: Address;
  readonly spiffeId: SpiffeId;
  readonly rootPem: string;
}

const TRUST_DOMAIN = parseTrustDomain("cluster.local");

function trustOf({ address, spiffeId, rootPem }: KubeControlTarget) {
  const bundles = trustBundlesOf(parseTrustBundle(TRUST_DOMAIN, rootPem));
  return { control: { address, spiffeId }, bundles, network: createSocketNetwork(), clock: systemClock };
}

/** Asks for a certificate once, with a token alone. The chain, PEM; the signing request's name is any. */
export function certify(target: KubeControlTarget, token: string): Promise<readonly string[]> {
  const request = createCertificateClient({ ...trustOf(target), readJoinToken: async () => token });
  const csrPem = createSigningRequest(generateKeyPair(), spiffeIdFor(TRUST_DOMAIN, "shop", "whoever"));
  return request({ csrPem, ttlSec: 3_600, identity: null }, new AbortController().signal);
}

/** A sidecar's ends to the control plane of a cluster, without its data path. */
export function joinKube(target: KubeControlTarget, name: string, token: () => Promise<string>): TestSidecar {
  const namespace = "shop";
  const spiffeId = spiffeIdFor(TRUST_DOMAIN, namespace, name);
  const log = createAwaitedLog();
  const trust = trustOf(target);
  const ports = { ...trust, random: testRandom, logger: log };
  const requestCertificate = createCertificateClient({ ...trust, readJoinToken: token });
  const holder = holdIdentity({ ...ports, spiffeId, ttlSec: 3_600, requestCertificate });
  const discovery = openDiscovery({
    ...ports,
    identity: holder.identity,
    nodeId: name,
    workload: { namespace, labels: { app: name } },
  });
  holder.begin();
  const close = (): void => {
    discovery.close();
    holder.close();
  };
  return { holder, discovery, log, close };
}
