import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { type Issuer, createIntermediate } from "../../pki/certificate-build.ts";
import { generateKeyPair } from "../../pki/keys.ts";
import type { AuthorityOptions } from "./authority.ts";
import { BACKDATE_MS, encodeIssuer, isIssuedBy, parseIssuer } from "./issuer-file.ts";

const INTERMEDIATE_WITH_KEY = "ca/intermediate-with-key.pem";
const DAY_MS = 86_400_000;
const INTERMEDIATE_LIFE_MS = 90 * DAY_MS;
/** A new intermediate follows when less than this is left: far more than any leaf lives. */
const INTERMEDIATE_RENEW_MS = 30 * DAY_MS;

/** The intermediate in force, and its successor in time. */
export class Intermediates {
  readonly #options: AuthorityOptions;
  readonly #root: Issuer;
  #issuer: Issuer | null = null;
  #replacing: Promise<Issuer> | null = null;

  constructor(options: AuthorityOptions, root: Issuer) {
    this.#options = options;
    this.#root = root;
  }

  async open(): Promise<void> {
    const kept = await this.#options.files.readPrivate(INTERMEDIATE_WITH_KEY);
    // Without one a new one is made: nobody pins an intermediate.
    if (kept !== null) this.#issuer = this.#read(kept);
    await this.current();
  }

  /** When the one in force ends. It is there once `open` is done. */
  get notAfterMs(): number {
    return this.#issuer!.certificate.notAfterMs;
  }

  async current(): Promise<Issuer> {
    const issuer = this.#issuer;
    if (issuer !== null && this.#leftMs(issuer) > INTERMEDIATE_RENEW_MS) return issuer;
    this.#replacing ??= this.#replace();
    try {
      return await this.#replacing;
    } catch (error) {
      // A full disk must not end issuing while the old one is good.
      if (issuer === null || this.#leftMs(issuer) <= 0) throw error;
      this.#options.logger.log("error", "ca-intermediate-kept", { message: toCardeaError(error).message });
      return issuer;
    } finally {
      this.#replacing = null;
    }
  }

  async #replace(): Promise<Issuer> {
    const { clock, random, files, logger, trustDomain } = this.#options;
    const made = await this.#madeByAnother();
    if (made !== null) return (this.#issuer = made);
    const endMs = Math.min(clock.wallMs() + INTERMEDIATE_LIFE_MS, this.#root.certificate.notAfterMs);
    const issuer = createIntermediate(this.#root, trustDomain, {
      keys: generateKeyPair(),
      validity: { notBeforeMs: clock.wallMs() - BACKDATE_MS, notAfterMs: endMs },
      random: (count) => random.bytes(count),
    });
    await files.write(INTERMEDIATE_WITH_KEY, encodeIssuer(issuer));
    logger.log("info", "ca-intermediate-created", { trustDomain, serial: issuer.certificate.serial });
    this.#issuer = issuer;
    return issuer;
  }

  /** Replicas come to the end of one intermediate at the same time: the first makes the next one, the others take it. */
  async #madeByAnother(): Promise<Issuer | null> {
    const kept = await this.#options.files.readPrivate(INTERMEDIATE_WITH_KEY);
    if (kept === null) return null;
    try {
      const issuer = parseIssuer(kept);
      const isGood = isIssuedBy(issuer, this.#root) && this.#leftMs(issuer) > INTERMEDIATE_RENEW_MS;
      return isGood ? issuer : null;
    } catch {
      // Damaged since: a new one takes its place.
      return null;
    }
  }

  #read(text: string): Issuer {
    try {
      const issuer = parseIssuer(text);
      if (!isIssuedBy(issuer, this.#root)) throw new Error("the root did not sign it");
      return issuer;
    } catch (error) {
      const path = `${this.#options.files.directory}/${INTERMEDIATE_WITH_KEY}`;
      const why = toCardeaError(error).message;
      throw new CardeaError("bad-input", `${path} cannot be used: ${why}. Remove it: a new one will be made.`, error);
    }
  }

  /** None of one that is not valid yet: a clock that was ahead has made it, and nobody would take what it signs. */
  #leftMs({ certificate }: Issuer): number {
    const nowMs = this.#options.clock.wallMs();
    return certificate.notBeforeMs > nowMs ? 0 : certificate.notAfterMs - nowMs;
  }
}
