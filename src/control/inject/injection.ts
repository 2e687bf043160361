import type { JsonObject } from "../../core/json-value.ts";
import type { JsonPatch } from "./json-patch.ts";

/** What becomes of a pod. */
export type Injection =
  | {
      readonly kind: "inject";
      /**
       * From the pod that was given to the injected one; empty when it is injected as it should be already. Made each
       * time that it is asked for.
       */
      readonly patch: JsonPatch;
      readonly pod: JsonObject;
      /** What the author should know, each in one sentence. */
      readonly warnings: readonly string[];
    }
  | { readonly kind: "leave"; readonly why: string }
  | Refusal;

export interface Refusal {
  readonly kind: "refuse";
  /** What is wrong. */
  readonly why: string;
  /** What to do about it. */
  readonly mend: string;
}

/** What injection knows of the pod's namespace. Annotations stand in for those that the pod leaves out. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Thrown within this folder alone, and caught by injectPod. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly mend: string;

  constructor(why: string, mend: string) {
    super(why);
    this.mend = mend;
  }
}
