import { CardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";

/** Of all requests of a sidecar that wait. */
export interface AskedBodies {
  /** Held for steps that look at bodies. */
  bodyBytes: number;
}

/** As much of a request's body as a step wanted to see. */
export interface BodyBeginning {
  readonly bytes: Buffer;
  /** Whether that is all of it. */
  readonly isWhole: boolean;
}

interface Wanted {
  readonly bytesMax: number;
  resolve(beginning: BodyBeginning): void;
  reject(error: CardeaError): void;
}

/** The body of a request that waits, for a step that has to see it. Its sender pauses while nobody wants more of it. */
export class AskedBody {
  readonly #all: AskedBodies;
  /** Also in the hands of whoever forwards them: never changed. */
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  #isWhole: boolean;
  #wanted: Wanted | null = null;
  #countedBytes = 0;

  constructor(all: AskedBodies, isWhole: boolean) {
    this.#all = all;
    this.#isWhole = isWhole;
  }

  get isWanted(): boolean {
    return this.#wanted !== null;
  }

  /** The first bytes, `bytesMax` at most. One reader at a time. Errors: `overloaded`. */
  read(bytesMax: number): Promise<BodyBeginning> {
    return new Promise((resolve, reject) => {
      this.#wanted = { bytesMax, resolve, reject };
      this.#serve();
    });
  }

  /** The piece stays the caller's. False: that is enough for now. */
  take(piece: Buffer): boolean {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    this.#serve();
    return this.isWanted;
  }

  end(): void {
    this.#isWhole = true;
    this.#serve();
  }

  /** Takes over what another one has got of the same body. */
  follow(before: AskedBody): void {
    this.#isWhole = before.#isWhole;
    for (const piece of before.#pieces) this.take(piece);
    this.#serve();
  }

  /** Nobody looks at it any more. */
  drop(): void {
    this.#wanted = null;
    this.#pieces.length = 0;
    this.#all.bodyBytes -= this.#countedBytes;
    this.#countedBytes = 0;
  }

  #serve(): void {
    const wanted = this.#wanted;
    if (wanted === null) return;
    this.#count();
    if (this.#all.bodyBytes > LIMITS.extAuthzBodiesBytesMax) {
      this.#wanted = null;
      wanted.reject(new CardeaError("overloaded", "too much is held of bodies that somebody has to see first"));
    } else if (this.#isWhole || this.#bytes > wanted.bytesMax) {
      this.#wanted = null;
      const bytes = Buffer.concat(this.#pieces, Math.min(this.#bytes, wanted.bytesMax));
      wanted.resolve({ bytes, isWhole: this.#isWhole && this.#bytes <= wanted.bytesMax });
    }
  }

  #count(): void {
    this.#all.bodyBytes += this.#bytes - this.#countedBytes;
    this.#countedBytes = this.#bytes;
  }
}
