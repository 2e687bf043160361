import { mintJoinToken } from "../../../src/control/ca/join-token.ts";
import type { Address } from "../../../src/core/ports.ts";
import { parseTrustDomain, type SpiffeId, spiffeIdFor } from "../../../src/core/spiffe-id.ts";
import { systemClock } from "../../../src/io/clock.ts";
import { createSocketNetwork } from "../../../src/io/sockets.ts";
import { openStateFiles } from "../../../src/io/state-files.ts";
import { parseTrustBundle, type TrustBundles, trustBundlesOf } from "../../../src/pki/bundle.ts";
import { type Discovery, openDiscovery } from "../../../src/proxy/discovery/discovery.ts";
import { createCertificateClient } from "../../../src/proxy/identity/certificate-client.ts";
import { holdIdentity, type IdentityHolder } from "../../../src/proxy/identity/renew.ts";
import { type AwaitedLog, createAwaitedLog } from "../../support/awaited-log.ts";
import { testRandom } from "../../support/test-control.ts";

/** A sidecar's ends to the control plane, without its data path. */
export interface TestSidecar {
  readonly holder: IdentityHolder;
  readonly discovery: Discovery;
  readonly log: AwaitedLog;
  close(): void;
}

/** A control plane that runs, wherever, and its state directory. */
export interface JoinTarget {
  readonly address: Address;
  readonly spiffeId: SpiffeId;
  readonly stateDir: string;
}

export interface JoinOptions {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly nodeId?: string;
  /** Left out: one that was minted for it. */
  readonly token?: string;
}

export const TRUST_DOMAIN = parseTrustDomain("cluster.local");

/** Joins with a fresh token, as a sidecar does. */
export async function joinSidecar(target: JoinTarget, name: string, options: JoinOptions = {}): Promise<TestSidecar> {
  const namespace = options.namespace ?? "shop";
  const spiffeId = spiffeIdFor(TRUST_DOMAIN, namespace, name);
  const files = openStateFiles(target.stateDir);
  const token = options.token ?? (await mintJoinToken({ files, clock: systemClock, random: testRandom }, { spiffeId }));
  const log = createAwaitedLog();
  const ports = { clock: systemClock, random: testRandom, logger: log };
  const control = { address: target.address, spiffeId: target.spiffeId };
  const trust = { control, bundles: await readBundles(target.stateDir), network: createSocketNetwork() };
  const requestCertificate = createCertificateClient({
    ...trust,
    clock: systemClock,
    readJoinToken: async () => token,
  });
  const holder = holdIdentity({ ...ports, ...trust, spiffeId, ttlSec: 3_600, requestCertificate });
  const discovery = openDiscovery({
    ...ports,
    ...trust,
    identity: holder.identity,
    nodeId: options.nodeId ?? name,
    workload: { namespace, labels: options.labels ?? { app: name } },
  });
  holder.begin();
  const close = (): void => {
    discovery.close();
    holder.close();
  };
  return { holder, discovery, log, close };
}

/** The root that the control plane has put into its state. */
export async function readBundles(stateDir: string): Promise<TrustBundles> {
  const pem = await openStateFiles(stateDir).read("ca/root.pem");
  if (pem === null) throw new Error("the control plane has not made its root yet");
  return trustBundlesOf(parseTrustBundle(TRUST_DOMAIN, pem));
}
