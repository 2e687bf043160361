import { CardeaError, toCardeaError } from "../core/errors.ts";
import { LIMITS } from "../core/limits.ts";
import type { Clock, Timer } from "../core/ports.ts";
import type { Admission, SettledAdmission } from "./admission.ts";
import type { Asking, StepAnswer } from "./admission-steps.ts";

/** The requests of a sidecar that wait to be decided. */
export interface AdmissionWaits {
  readonly clock: Clock;
  count: number;
}

/** One round of questions, and what becomes of the request when they are answered. */
interface Round {
  readonly asking: Asking;
  readonly answer: Promise<StepAnswer>;
  /** May begin another round: policies that have come meanwhile may ask other questions. */
  conclude(answer: StepAnswer): Admission;
  refuse(error: CardeaError): SettledAdmission;
}

/** A request that waits to be decided, for a bounded time, in a bounded number. Whatever goes wrong refuses it. */
export class AdmissionWait {
  readonly #waits: AdmissionWaits;
  #round: Round;
  #onSettled: ((admission: SettledAdmission) => void) | null = null;
  #timer: Timer | null = null;

  constructor(waits: AdmissionWaits, round: Round) {
    this.#waits = waits;
    this.#round = round;
    // Heard here, too, so that a question nobody waits for any more can fail.
    round.answer.catch(() => {});
  }

  /** `onSettled` is called once, unless the wait is cancelled; at once only when too many wait already. */
  begin(onSettled: (admission: SettledAdmission) => void): void {
    if (this.#waits.count >= LIMITS.admissionWaitsMax) {
      this.#round.asking.end();
      onSettled(this.#round.refuse(new CardeaError("overloaded", "too many requests wait to be decided")));
      return;
    }
    this.#waits.count++;
    this.#onSettled = onSettled;
    this.#timer = this.#waits.clock.setTimer(LIMITS.admissionWaitMs, () => {
      this.#settle(this.#round.refuse(new CardeaError("admission-timeout", "the request waited for too long")));
    });
    void this.#run();
  }

  /** Nobody wants to know any more. May be called again. */
  cancel(): void {
    if (this.#onSettled === null) return;
    this.#onSettled = null;
    this.#timer?.cancel();
    this.#round.asking.end();
    this.#waits.count--;
  }

  async #run(): Promise<void> {
    while (this.#onSettled !== null) {
      const admission = await this.#concludeRound();
      if (admission === null) return;
      if (admission.at !== "waits") this.#settle(admission);
      else this.#round = admission.wait.#round;
    }
  }

  /** Null: nobody waits any more. */
  async #concludeRound(): Promise<Admission | null> {
    try {
      const answer = await this.#round.answer;
      return this.#onSettled === null ? null : this.#round.conclude(answer);
    } catch (thrown) {
      return this.#onSettled === null ? null : this.#round.refuse(toCardeaError(thrown));
    }
  }

  #settle(admission: SettledAdmission): void {
    const onSettled = this.#onSettled;
    if (onSettled === null) return;
    this.cancel();
    onSettled(admission);
  }
}
