import { CardeaError, toCardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Timer } from "../core/ports.ts";
import type { Asking, StepAnswer } from "./admission-steps.ts";
import type { AskedBodies } from "./asked-body.ts";

/** The requests of a sidecar that wait to be decided. */
export interface AdmissionWaits extends AskedBodies {
  readonly clock: Clock;
  count: number;
}

/** The request that waits. */
interface WaitOwner<Settled> {
  /** Called once, unless the wait is cancelled. */
  onSettled(admission: Settled): void;
  /** Somebody has to see the body. */
  onBodyWanted(): void;
}

/** One round of questions, and what becomes of the request when they are answered. */
interface Round<Settled extends { readonly at: string }> {
  readonly asking: Asking;
  readonly answer: Promise<StepAnswer>;
  /** May begin another round: policies that have come meanwhile may ask other questions. */
  conclude(answer: StepAnswer): Settled | Waits<Settled>;
  refuse(error: CardeaError): Settled;
}

interface Waits<Settled extends { readonly at: string }> {
  readonly at: "waits";
  readonly wait: AdmissionWait<Settled>;
}

/** A request or connection that waits to be decided, for a bounded time, in a bounded number. Whatever goes wrong refuses it. */
export class AdmissionWait<Settled extends { readonly at: string }> {
  readonly #waits: AdmissionWaits;
  #round: Round<Settled>;
  #owner: WaitOwner<Settled> | null = null;
  #timer: Timer | null = null;

  constructor(waits: AdmissionWaits, round: Round<Settled>) {
    this.#waits = waits;
    this.#round = round;
    // Heard here, too, so that a question nobody waits for any more can fail.
    round.answer.catch(() => {});
  }

  /** Settled at once only when too many wait already. */
  begin(owner: WaitOwner<Settled>): void {
    if (this.#waits.count >= LIMITS.admissionWaitsMax) {
      this.#round.asking.end();
      owner.onSettled(this.#round.refuse(new CardeaError("overloaded", "too many requests wait to be decided")));
      return;
    }
    this.#waits.count++;
    this.#owner = owner;
    this.#timer = this.#waits.clock.setTimer(LIMITS.admissionWaitMs, () => {
      this.#settle(this.#round.refuse(new CardeaError("admission-timeout", "the request waited for too long")));
    });
    if (this.#round.asking.body.isWanted) owner.onBodyWanted();
    void this.#run();
  }

  /** A piece of the body, which stays the caller's. False: its sender is to pause. */
  takeBody(piece: Buffer): boolean {
    return this.#round.asking.body.take(piece);
  }

  endBody(): void {
    this.#round.asking.body.end();
  }

  /** Nobody wants to know any more. May be called again. */
  cancel(): void {
    if (this.#owner === null) return;
    this.#owner = null;
    this.#timer?.cancel();
    this.#round.asking.end();
    this.#waits.count--;
  }

  async #run(): Promise<void> {
    while (this.#owner !== null) {
      const admission = await this.#concludeRound();
      if (admission === null) return;
      if (waitsOn(admission)) this.#beginAnew(admission.wait.#round);
      else this.#settle(admission);
    }
  }

  #beginAnew(round: Round<Settled>): void {
    round.asking.body.follow(this.#round.asking.body);
    this.#round.asking.end();
    this.#round = round;
    if (round.asking.body.isWanted) this.#owner?.onBodyWanted();
  }

  /** Null: nobody waits any more. */
  async #concludeRound(): Promise<Settled | Waits<Settled> | null> {
    try {
      const answer = await this.#round.answer;
      return this.#owner === null ? null : this.#round.conclude(answer);
    } catch (thrown) {
      return this.#owner === null ? null : this.#round.refuse(toCardeaError(thrown));
    }
  }

  #settle(admission: Settled): void {
    const owner = this.#owner;
    if (owner === null) return;
    this.cancel();
    owner.onSettled(admission);
  }
}

function waitsOn<Settled extends { readonly at: string }>(
  admission: Settled | Waits<Settled>,
): admission is Waits<Settled> {
  return admission.at === "waits";
}
