import { CardeaError, toCardeaError } from "../../core/errors.ts";
import type { Clock, Logger, Random } from "../../core/ports.ts";
import type { TrustDomain } from "../../core/spiffe-id.ts";
import type { StateFiles } from "../../core/state-files.ts";
import { type TrustBundle, parseTrustBundle } from "../../pki/bundle.ts";
import { type Issuer, createRoot } from "../../pki/certificate-build.ts";
import { generateKeyPair } from "../../pki/keys.ts";
import { encodePem } from "../../pki/pem.ts";
import { Intermediates } from "./intermediates.ts";
import { encodeIssuer, isIssuedBy, parseIssuer } from "./issuer-file.ts";
import { isRootAmong, placesOf, type PublishedRoots } from "./published-roots.ts";

/** Root and intermediate of one trust domain, kept in the state directory. */
export interface Authority {
  readonly trustDomain: TrustDomain;
  /** The public roots. */
  readonly bundle: TrustBundle;
  /** Who signs now: the intermediate, replaced in time, below the root. Errors: `bad-input` when the root has ended. */
  signer(): Promise<SigningChain>;
  /** When the root, and the intermediate in force, end. */
  notAfterMs(): { readonly root: number; readonly intermediate: number };
  /**
   * Looks whether the store still has the root that we sign with, and puts it back where it has none, or one that cannot
   * be read. Another root is left alone: it may be the only copy of somebody's key. Errors: those of the store.
   */
  checkStore(): Promise<StoredRoot>;
}

/** The root in the store: ours; ours again; or another one, which nobody must start with. */
export type StoredRoot = "kept" | "restored" | "replaced";

export interface SigningChain {
  readonly issuer: Issuer;
  readonly root: Issuer;
}

export interface AuthorityOptions {
  readonly files: StateFiles;
  /** Where the root is known besides the store. Left out: nowhere that we could look. */
  readonly published?: PublishedRoots;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Public: sidecars pin it. */
export const ROOT_FILE = "ca/root.pem";
const ROOT_WITH_KEY = "ca/root-with-key.pem";

const ROOT_LIFE_MS = 3_650 * 86_400_000;
/** It cannot be made again: whoever makes it by a clock that is hours ahead must not wait for them. */
const ROOT_BACKDATE_MS = 86_400_000;

/**
 * Opens the authority of a state directory, and makes it there when the directory has none yet. Certificate and key
 * are one file each, written whole, so a kill leaves no half of an authority. A root that is damaged, or lost while
 * what it signed is there, is an error with the way out: a new root in silence would cut off every workload.
 * Errors: `bad-input`.
 */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const root = await openRoot(options);
  const rootPem = encodePem("CERTIFICATE", root.certificate.der);
  const bundle = parseTrustBundle(options.trustDomain, rootPem);
  const intermediates = new Intermediates(options, root);
  await intermediates.open();
  if ((await options.files.read(ROOT_FILE)) !== rootPem) await options.files.write(ROOT_FILE, rootPem);
  return {
    trustDomain: options.trustDomain,
    bundle,
    async signer() {
      assertRootInTime(root, options);
      return { issuer: await intermediates.current(), root };
    },
    notAfterMs: () => ({ root: root.certificate.notAfterMs, intermediate: intermediates.notAfterMs }),
    checkStore: () => checkStore(root, options),
  };
}

async function checkStore(root: Issuer, { files, trustDomain, logger }: AuthorityOptions): Promise<StoredRoot> {
  const kept = await files.readPrivate(ROOT_WITH_KEY);
  const other = kept === null ? null : issuerOrNull(kept);
  if (other !== null) return other.certificate.der.equals(root.certificate.der) ? "kept" : "replaced";
  // Of replicas that do this at once one wins; they all hold the same root.
  if (kept === null) await files.create(ROOT_WITH_KEY, encodeIssuer(root));
  else await files.write(ROOT_WITH_KEY, encodeIssuer(root));
  await files.write(ROOT_FILE, encodePem("CERTIFICATE", root.certificate.der));
  logger.log("warn", "ca-root-restored", { trustDomain, serial: root.certificate.serial });
  return "restored";
}

function issuerOrNull(text: string): Issuer | null {
  try {
    return parseIssuer(text);
  } catch {
    return null;
  }
}

async function openRoot(options: AuthorityOptions): Promise<Issuer> {
  const kept = await options.files.readPrivate(ROOT_WITH_KEY);
  if (kept !== null) return assertPublished(readRoot(kept, options), options);
  const others = await options.files.list("ca");
  const published = (await options.published?.read()) ?? [];
  const isKnown = others.length > 0 || published.length > 0;
  // Another process may have made all of it between the two looks.
  const madeMeanwhile = isKnown ? await options.files.readPrivate(ROOT_WITH_KEY) : null;
  if (madeMeanwhile !== null) return assertPublished(readRoot(madeMeanwhile, options), options);
  if (others.length > 0) throw rootLost(options, `is missing, while ${others.join(", ")} is there`);
  if (published.length > 0) throw rootLost(options, `is missing, while workloads trust a root: ${placesOf(published)}`);
  const made = makeRoot(options);
  if (await options.files.create(ROOT_WITH_KEY, encodeIssuer(made))) return made;
  // Another process was first: its root is the one.
  return readRoot((await options.files.readPrivate(ROOT_WITH_KEY)) ?? "", options);
}

/** Whoever is told to trust one root takes no certificate of another. */
async function assertPublished(root: Issuer, options: AuthorityOptions): Promise<Issuer> {
  const published = (await options.published?.read()) ?? [];
  const others = published.filter((each) => each.isBinding && !isRootAmong(root.certificate.der, each.pem));
  if (others.length === 0) return root;
  throw rootLost(options, `is not the root that workloads trust: ${placesOf(others)}`);
}

function makeRoot({ trustDomain, clock, random, logger }: AuthorityOptions): Issuer {
  const validity = { notBeforeMs: clock.wallMs() - ROOT_BACKDATE_MS, notAfterMs: clock.wallMs() + ROOT_LIFE_MS };
  const root = createRoot(trustDomain, generateKeyPair(), validity, (count) => random.bytes(count));
  logger.log("info", "ca-root-created", { trustDomain, serial: root.certificate.serial });
  return root;
}

function readRoot(text: string, options: AuthorityOptions): Issuer {
  try {
    const root = parseIssuer(text);
    const [uri] = root.certificate.uris;
    if (uri !== `spiffe://${options.trustDomain}`)
      throw new Error(`it is of ${uri ?? "no trust domain"}, the mesh is spiffe://${options.trustDomain}`);
    if (!isIssuedBy(root, root)) throw new Error("its signature is not good");
    assertRootInTime(root, options);
    return root;
  } catch (error) {
    throw rootLost(options, `cannot be used: ${toCardeaError(error).message}`, error);
  }
}

function assertRootInTime({ certificate }: Issuer, options: AuthorityOptions): void {
  if (options.clock.wallMs() <= certificate.notAfterMs) return;
  throw rootLost(options, `has ended on ${new Date(certificate.notAfterMs).toISOString()}`);
}

function rootLost({ files, published }: AuthorityOptions, what: string, cause?: unknown): CardeaError {
  const root = published?.root ?? `${files.directory}/${ROOT_WITH_KEY}`;
  const remove = `Restore it from a backup, or remove the directory ${files.directory}/ca to begin with a new root`;
  const price = "every sidecar must then be started again";
  return new CardeaError("bad-input", `${root} ${what}. ${published?.way ?? remove}: ${price}.`, cause);
}
