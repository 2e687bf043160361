import { createHash, createPrivateKey, type KeyObject } from "node:crypto";
import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { LIMITS } from "../../core/limits.ts";
import type { Clock, Logger } from "../../core/ports.ts";
import type { StateFiles } from "../../core/state-files.ts";
import { encodePrivateKey, generateKeyPair, publicKeyOf } from "../../pki/keys.ts";

/** A key that signs tokens, for as long as its period lasts. */
export interface JwtKey {
  readonly keyId: string;
  readonly privateKey: KeyObject;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  /** When the last token that it signs has ended. */
  readonly expiresAtMs: number;
}

export interface JwtKeysOptions {
  readonly files: StateFiles;
  readonly clock: Clock;
  readonly logger: Logger;
}

const HOUR_MS = 3_600_000;
/** How long one key signs. */
export const JWT_PERIOD_MS = 7 * 24 * HOUR_MS;
/** A key is told to everybody this long before it signs: far more than anybody's bundle is old. */
export const JWT_PREPARE_MS = 24 * HOUR_MS;
/** And for this long after its last token has ended, for clocks that are behind. */
const KEEP_MS = HOUR_MS;

/**
 * The keys for tokens, one for each week since the epoch. Which key signs, and which are to be told, follows from the clock
 * alone, and the first who needs a week's key makes it for all: so any number of replicas over one state agree without
 * a word, and rotate without anybody who leads.
 */
export class JwtKeys {
  readonly #options: JwtKeysOptions;
  readonly #known = new Map<number, JwtKey>();
  #opening = Promise.resolve();

  constructor(options: JwtKeysOptions) {
    this.#options = options;
  }

  /** The one that signs now. Errors: `bad-input` when the state is damaged. */
  async current(): Promise<JwtKey> {
    return this.#open(this.#period());
  }

  /** All whose tokens are to be believed now or soon, the oldest first. Errors: `bad-input`. */
  async published(): Promise<readonly JwtKey[]> {
    const period = this.#period();
    const sinceMs = this.#nowMs() - period * JWT_PERIOD_MS;
    const before = sinceMs < LIMITS.jwtSvidTtlMs + KEEP_MS ? await this.#find(period - 1) : null;
    const current = await this.#open(period);
    const after = sinceMs >= JWT_PERIOD_MS - JWT_PREPARE_MS ? [await this.#open(period + 1)] : [];
    await this.#sweep(period);
    return [...(before === null ? [] : [before]), current, ...after];
  }

  /** Grows with each change of what is published. SPIFFE Trust Domain and Bundle section 4.1.2. */
  sequence(): number {
    const period = this.#period();
    const sinceMs = this.#nowMs() - period * JWT_PERIOD_MS;
    const isAfterLast = sinceMs >= LIMITS.jwtSvidTtlMs + KEEP_MS;
    const isBeforeNext = sinceMs >= JWT_PERIOD_MS - JWT_PREPARE_MS;
    return period * 3 + (isAfterLast ? 1 : 0) + (isBeforeNext ? 1 : 0);
  }

  #nowMs(): number {
    return this.#options.clock.wallMs();
  }

  #period(): number {
    return Math.floor(this.#nowMs() / JWT_PERIOD_MS);
  }

  /** One after the other: two callers that need a new key make one. */
  async #open(period: number): Promise<JwtKey> {
    const known = this.#known.get(period);
    if (known !== undefined) return known;
    const opened = this.#opening.then(async () => (await this.#find(period)) ?? (await this.#make(period)));
    this.#opening = opened.then(
      () => {},
      () => {},
    );
    return opened;
  }

  async #find(period: number): Promise<JwtKey | null> {
    const known = this.#known.get(period);
    if (known !== undefined) return known;
    const text = await this.#options.files.readPrivate(fileOf(period));
    return text === null ? null : this.#remember(period, text);
  }

  async #make(period: number): Promise<JwtKey> {
    const { files, logger } = this.#options;
    const text = encodePrivateKey(generateKeyPair().privateKey);
    const isOurs = await files.create(fileOf(period), text);
    // Another replica was first: its key is the one.
    const key = this.#remember(period, isOurs ? text : ((await files.readPrivate(fileOf(period))) ?? ""));
    if (isOurs)
      logger.log("info", "jwt-key-created", { id: key.keyId, notAfter: new Date(key.expiresAtMs).toISOString() });
    return key;
  }

  #remember(period: number, text: string): JwtKey {
    const key = this.#read(period, text);
    this.#known.set(period, key);
    return key;
  }

  #read(period: number, text: string): JwtKey {
    try {
      const privateKey = createPrivateKey(text);
      if (privateKey.asymmetricKeyDetails?.namedCurve !== "prime256v1") throw new Error("it is no key of P-256");
      const publicKey = publicKeyOf(privateKey);
      const keyId = createHash("sha256").update(publicKey).digest("base64url").slice(0, 32);
      const expiresAtMs = (period + 1) * JWT_PERIOD_MS + LIMITS.jwtSvidTtlMs + KEEP_MS;
      return Object.freeze({ keyId, privateKey, publicKey, expiresAtMs });
    } catch (error) {
      const path = `${this.#options.files.directory}/${fileOf(period)}`;
      const why = toCardeaError(error).message;
      throw new CardeaError("bad-input", `${path} cannot be used: ${why}. Remove it: a new one will be made.`, error);
    }
  }

  /** What no token rests on any more goes. */
  async #sweep(period: number): Promise<void> {
    const gone = [...this.#known.keys()].filter((each) => each < period - 1);
    for (const each of gone) {
      this.#known.delete(each);
      await this.#options.files.remove(fileOf(each));
    }
  }
}

function fileOf(period: number): string {
  return `ca/jwt-key-${period}.pem`;
}
