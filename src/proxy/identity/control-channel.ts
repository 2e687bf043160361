import type { PeerCertificate } from "node:tls";
import type { SecureContext } from "node:tls";
import { type ChannelCredentials, type ChannelOptions, credentials } from "@grpc/grpc-js";
import { CardeaError } from "../../core/errors.ts";
import type { CreateClientTlsContext } from "../../core/grpc-tls.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Address, Clock } from "../../core/ports.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { TrustBundles } from "../../pki/bundle.ts";
import { verifyPeerChain } from "../../pki/verify.ts";
import type { Identity } from "./identity.ts";

export interface ControlChannelOptions {
  readonly controlSpiffeId: SpiffeId;
  /** The pinned roots: the first connection trusts nothing else. */
  readonly bundles: TrustBundles;
  /** What we present, or null before the first certificate. */
  readonly identity: Identity | null;
  readonly createTlsContext: CreateClientTlsContext;
  readonly clock: Clock;
}

/** For every channel to the control plane. */
export const CONTROL_CHANNEL_OPTIONS: ChannelOptions = Object.freeze({
  // The control plane proves a SPIFFE ID, not a host name; an IP address as server_name would be malformed.
  "grpc.ssl_target_name_override": "cardea-control",
  // The app's http_proxy is the sidecar itself.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  // Each of our clients knows better when to try again.
  "grpc.enable_retries": 0,
  "grpc.max_receive_message_length": LIMITS.discoveryMessageBytesMax,
});

/** The target of a gRPC channel: no name is looked up. */
export function controlTarget(address: Address): string {
  return address.host.includes(":") ? `ipv6:[${address.host}]:${address.port}` : `ipv4:${address.host}:${address.port}`;
}

/**
 * TLS to the control plane. The library checks the chain against the pinned roots; our own verification then ties it
 * to the trust domain and to the SPIFFE ID that the bootstrap names.
 */
export function controlChannelCredentials(options: ControlChannelOptions): ChannelCredentials {
  const context = options.createTlsContext({
    rootsPem: [...options.bundles.values()].map((bundle) => bundle.pem).join(""),
    own: options.identity?.material ?? null,
  });
  return credentials.createFromSecureContext(context.tlsContext as SecureContext, {
    checkServerIdentity: (_name, certificate) => checkControl(certificate, options),
  });
}

/** The library wants the fault as a value. */
function checkControl(certificate: PeerCertificate, options: ControlChannelOptions): Error | undefined {
  try {
    const peer = verifyPeerChain(chainOf(certificate), options.bundles, options.clock.wallMs());
    if (peer.spiffeId === options.controlSpiffeId) return undefined;
    const message = `the control plane proved ${peer.spiffeId}, not ${options.controlSpiffeId}`;
    return new CardeaError("peer-identity-mismatch", message);
  } catch (error) {
    return error as Error;
  }
}

/** The library's linked certificates as DER, leaf first. A root is linked to itself. */
function chainOf(leaf: PeerCertificate): readonly Buffer[] {
  const chain: Buffer[] = [];
  let next: Partial<PeerCertificate> & { issuerCertificate?: PeerCertificate } = leaf;
  while (next.raw !== undefined && chain.length <= LIMITS.chainCertificatesMax) {
    chain.push(next.raw);
    if (next.issuerCertificate === undefined || next.issuerCertificate === next) break;
    next = next.issuerCertificate;
  }
  return chain;
}
