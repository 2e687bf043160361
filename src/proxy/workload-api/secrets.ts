import { createHash } from "node:crypto";
import { type AnyMessage, packAny } from "../../api/any.ts";
import { SECRET, SPIFFE_VALIDATOR_CONFIG } from "../../api/secret-messages.ts";
import { trustDomainOf } from "../../core/spiffe-id.ts";
import type { TrustBundle, TrustBundles } from "../../pki/bundle.ts";
import type { Identity } from "../identity/identity.ts";

export const SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const VALIDATOR_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";
const VALIDATOR_NAME = "envoy.tls.cert_validator.spiffe";

/** Names that SPIRE's agents serve as well: the workload's identity, its own domain's roots, all roots. */
const IDENTITY_NAME = "default";
const ROOTS_NAME = "ROOTCA";
const ALL_ROOTS_NAME = "ALL";

/** What secrets are made of at a moment. */
export interface SecretMaterial {
  /** Null: none has come yet. */
  readonly identity: Identity | null;
  /** Of the workload, whether it has a certificate or not. */
  readonly spiffeId: string;
  readonly bundles: TrustBundles;
  /**
   * Whether the reader has Envoy's SPIFFE validator (1.18), which ties each root to its trust domain. Others get the roots
   * alone, as one heap.
   */
  readonly hasValidator: boolean;
}

/** A secret as it goes over the wire. */
export interface NamedSecret {
  readonly name: string;
  /** Changes with its content. */
  readonly version: string;
  readonly resource: AnyMessage;
}

/** `waiting`: the identity has not come yet. `unknown`: nobody of this workload may have it, or it does not exist. */
export type SecretReading =
  | { readonly at: "secret"; readonly secret: NamedSecret }
  | { readonly at: "waiting" }
  | { readonly at: "unknown" };

/** Names of all secrets, as those get them who name none. */
export function secretNames({ spiffeId, bundles }: SecretMaterial): readonly string[] {
  return [spiffeId, ...[...bundles.keys()].map((trustDomain) => `spiffe://${trustDomain}`)];
}

/** Whether a name is the identity's, which must have been issued first. */
export function isIdentityName(name: string, { spiffeId }: Pick<SecretMaterial, "spiffeId">): boolean {
  return name === IDENTITY_NAME || name === spiffeId;
}

export function readSecret(name: string, material: SecretMaterial): SecretReading {
  if (isIdentityName(name, material)) {
    const { identity } = material;
    return identity === null ? { at: "waiting" } : { at: "secret", secret: identitySecret(name, identity) };
  }
  const bundles = bundlesNamed(name, material);
  if (bundles.length === 0) return { at: "unknown" };
  return { at: "secret", secret: rootsSecret(name, bundles, material) };
}

function bundlesNamed(name: string, { spiffeId, bundles }: SecretMaterial): readonly TrustBundle[] {
  const all = [...bundles.values()];
  if (name === ALL_ROOTS_NAME) return all;
  const id = name === ROOTS_NAME ? `spiffe://${trustDomainOf(spiffeId as Identity["spiffeId"])}` : name;
  return all.filter(({ trustDomain }) => `spiffe://${trustDomain}` === id);
}

function identitySecret(name: string, { material }: Identity): NamedSecret {
  const certificateChain = { inlineBytes: Buffer.from(material.chainPem) };
  const privateKey = { inlineBytes: Buffer.from(material.keyPem) };
  return secretOf(name, SECRET.serialize({ name, tlsCertificate: { certificateChain, privateKey } }));
}

function rootsSecret(name: string, bundles: readonly TrustBundle[], { hasValidator }: SecretMaterial): NamedSecret {
  const validationContext = hasValidator
    ? { customValidatorConfig: { name: VALIDATOR_NAME, typedConfig: validatorConfig(bundles) } }
    : { trustedCa: { inlineBytes: Buffer.from(bundles.map(({ pem }) => pem).join("")) } };
  return secretOf(name, SECRET.serialize({ name, validationContext }));
}

function validatorConfig(bundles: readonly TrustBundle[]): AnyMessage {
  const trustDomains = bundles.map(({ trustDomain, pem }) => ({
    name: trustDomain,
    trustBundle: { inlineBytes: Buffer.from(pem) },
  }));
  return packAny(SPIFFE_VALIDATOR_CONFIG, VALIDATOR_TYPE, { trustDomains });
}

function secretOf(name: string, value: Buffer): NamedSecret {
  const version = createHash("sha256").update(value).digest("hex").slice(0, 16);
  return { name, version, resource: { type_url: SECRET_TYPE, value } };
}
