import { type KeyObject, randomBytes, sign } from "node:crypto";
import { constructedContextTag, contextTag } from "../../src/pki/der.ts";
import {
  writeBits,
  writeDer,
  writeOid,
  writeSequence,
  writeSmallInteger,
  writeTime,
  writeUnsigned,
} from "../../src/pki/der-write.ts";
import {
  authorityKeyIdExtension,
  extendedKeyUsageExtension,
  keyUsageExtension,
  subjectKeyIdExtension,
  writeExtension,
  writeName,
} from "../../src/pki/extensions-write.ts";
import { KEY_USAGE } from "../../src/pki/extensions.ts";
import { generateKeyPair, type KeyPair, publicKeyOf } from "../../src/pki/keys.ts";
import { OID } from "../../src/pki/oids.ts";

/** A certificate of any kind, right or wrong: what the product never writes must be refused when others do. */
export interface AnyCertificate {
  readonly der: Buffer;
  readonly keys: KeyPair;
  readonly name: Buffer;
  readonly keyId: Buffer;
}

export interface AnyCertificateOptions {
  /** Left out: signed with its own key. */
  readonly issuer?: AnyCertificate;
  readonly name?: string;
  readonly keys?: KeyPair;
  /** GeneralNames, DER each; `uriName` makes one. Null: no extension at all. */
  readonly names?: readonly Buffer[] | null;
  readonly isNameCritical?: boolean;
  readonly isCa?: boolean;
  readonly pathLength?: number;
  /** Null: no extension. */
  readonly keyUsage?: number | null;
  readonly extendedKeyUsage?: readonly string[] | null;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  readonly serial?: Buffer;
  readonly moreExtensions?: readonly Buffer[];
  readonly omitBasicConstraints?: boolean;
  /** Without subject and authority key ids, the signature alone tells issuers of one name apart. */
  readonly omitKeyIds?: boolean;
  /** Another key signs than the issuer's. */
  readonly signingKey?: KeyObject;
  readonly hash?: { readonly oid: string; readonly name: string };
}

const HOUR_MS = 3_600_000;
export const NOW_MS = Date.UTC(2026, 5, 1, 12);

/** A pair of a kind that the product never makes. */
export function keysOf(generated: { readonly privateKey: KeyObject }): KeyPair {
  return { privateKey: generated.privateKey, publicKey: publicKeyOf(generated.privateKey) };
}

export function uriName(uri: string): Buffer {
  return writeDer(contextTag(6), Buffer.from(uri, "latin1"));
}

export function dnsName(name: string): Buffer {
  return writeDer(contextTag(2), Buffer.from(name, "latin1"));
}

/** Left to itself: a good leaf `spiffe://cluster.local/ns/shop/sa/web`, valid an hour each way of NOW_MS. */
export function anyCertificate(options: AnyCertificateOptions = {}): AnyCertificate {
  const keys = options.keys ?? generateKeyPair();
  const keyId = randomBytes(20);
  const name = writeName("test", options.name ?? "leaf");
  const tbs = tbsOf(options, { keys, keyId, name });
  const hash = options.hash ?? { oid: OID.ecdsaWithSha256, name: "sha256" };
  const key = options.signingKey ?? (options.issuer?.keys ?? keys).privateKey;
  const signature = sign(hash.name, tbs, { key, dsaEncoding: "der" });
  return { der: writeSequence(tbs, writeSequence(writeOid(hash.oid)), writeBits(signature)), keys, name, keyId };
}

/** A CA certificate; `anyCertificate` with a signer's extensions. */
export function anyAuthority(options: AnyCertificateOptions = {}): AnyCertificate {
  const defaults = {
    name: "authority",
    names: null,
    isCa: true,
    keyUsage: KEY_USAGE.keyCertSign,
    extendedKeyUsage: null,
  };
  return anyCertificate({ ...defaults, ...options });
}

function tbsOf(options: AnyCertificateOptions, own: Omit<AnyCertificate, "der">): Buffer {
  const extensions = extensionsOf(options, own.keyId);
  return writeSequence(
    writeDer(constructedContextTag(0), writeSmallInteger(2)),
    options.serial ?? writeUnsigned(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    writeSequence(writeOid(options.hash?.oid ?? OID.ecdsaWithSha256)),
    options.issuer?.name ?? own.name,
    writeSequence(
      writeTime(options.notBeforeMs ?? NOW_MS - HOUR_MS),
      writeTime(options.notAfterMs ?? NOW_MS + HOUR_MS),
    ),
    own.name,
    own.keys.publicKey,
    writeDer(constructedContextTag(3), writeSequence(...extensions)),
  );
}

function extensionsOf(options: AnyCertificateOptions, keyId: Buffer): readonly Buffer[] {
  const names = options.names === undefined ? [uriName("spiffe://cluster.local/ns/shop/sa/web")] : options.names;
  const usage = options.keyUsage === undefined ? KEY_USAGE.digitalSignature : options.keyUsage;
  return [
    ...(usage === null ? [] : [keyUsageExtension(usage)]),
    ...purposesOf(options),
    ...(options.omitBasicConstraints === true ? [] : [constraintsOf(options)]),
    ...(names === null
      ? []
      : [writeExtension(OID.subjectAltName, options.isNameCritical ?? false, writeSequence(...names))]),
    ...(options.omitKeyIds === true ? [] : [subjectKeyIdExtension(keyId)]),
    ...(options.omitKeyIds === true ? [] : [authorityKeyIdExtension(options.issuer?.keyId ?? keyId)]),
    ...(options.moreExtensions ?? []),
  ];
}

function purposesOf({ extendedKeyUsage }: AnyCertificateOptions): readonly Buffer[] {
  if (extendedKeyUsage === undefined) return [extendedKeyUsageExtension()];
  if (extendedKeyUsage === null) return [];
  return [writeExtension(OID.extKeyUsage, false, writeSequence(...extendedKeyUsage.map(writeOid)))];
}

function constraintsOf({ isCa, pathLength }: AnyCertificateOptions): Buffer {
  const length = pathLength === undefined ? [] : [writeSmallInteger(pathLength)];
  const value = isCa === true ? writeSequence(Buffer.from([1, 1, 0xff]), ...length) : writeSequence();
  return writeExtension(OID.basicConstraints, true, value);
}
