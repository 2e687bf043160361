import { parseCertificatesPem } from "../../pki/pem.ts";

/** A place in which workloads find whom to trust. */
export interface PublishedRoot {
  /** In words for people. */
  readonly where: string;
  /** As it was found there; perhaps not even PEM. */
  readonly pem: string;
  /** Nobody but the mesh's administrators writes there, so what it says of the root is so. */
  readonly isBinding: boolean;
}

/**
 * What tells that there is a root although the store has lost it. Without it a lost store would be taken for a new mesh,
 * and a second root would cut the mesh in two.
 */
export interface PublishedRoots {
  /** Errors: those of whoever is asked; nothing is begun without an answer. */
  read(): Promise<readonly PublishedRoot[]>;
  /** What the store calls the root, for people. */
  readonly root: string;
  /** How to mend a root that is lost, and how to begin with another one; for people, without a full stop. */
  readonly way: string;
}

const NAMED_MAX = 5;

/** For people; not all of a thousand namespaces. */
export function placesOf(published: readonly PublishedRoot[]): string {
  const places = published.slice(0, NAMED_MAX).map(({ where }) => where);
  const more = published.length - places.length;
  return `${places.join(", ")}${more === 0 ? "" : ` and ${more} more`}`;
}

/** What is no PEM speaks of no other root. */
export function isRootAmong(root: Buffer, pem: string): boolean {
  try {
    return parseCertificatesPem(pem).some((der) => der.equals(root));
  } catch {
    return true;
  }
}
