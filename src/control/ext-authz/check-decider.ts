import { HexIds } from "../../core/hex-ids.ts";
import type { Latest } from "../../core/latest.ts";
import type { Random } from "../../core/ports.ts";
import { type CompiledPolicy, compilePolicy } from "../../policy/compile.ts";
import { type Decision, decideRequest, decideTcp } from "../../policy/decide.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import type { Workload } from "../../policy/facts.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import { normalizePath } from "../../wire/path.ts";
import type { CheckQuestion } from "./check-question.ts";

/** The answer to a check. */
export type CheckAnswer =
  | { readonly allow: true; readonly decision: Decision }
  | {
      readonly allow: false;
      readonly status: 400 | 403;
      /** Of the line that tells why; all that the caller learns. */
      readonly id: string;
      /** Null: it was not put to policies. */
      readonly decision: Decision | null;
      readonly why: string | null;
    };

interface CheckDeciderOptions {
  readonly documents: Latest<readonly AuthorizationPolicy[]>;
  readonly settings: MeshSettings;
  readonly random: Random;
}

/** Workloads whose compiled policies are kept. */
const COMPILED_MAX = 1_000;

/** Decides checks by the policies as they are now, with the engine of the sidecars. */
export class CheckDecider {
  readonly #options: CheckDeciderOptions;
  readonly #ids: HexIds;
  readonly #compiled = new Map<string, CompiledPolicy>();

  constructor(options: CheckDeciderOptions) {
    this.#options = options;
    this.#ids = new HexIds(options.random);
    options.documents.subscribe(() => this.#compiled.clear());
  }

  /** A text is why there is no question. */
  decide(question: CheckQuestion | string): CheckAnswer {
    if (typeof question === "string") return this.#refused(question);
    const { peer, request, workload } = question;
    const { settings } = this.#options;
    if (request === null) return this.#conclude(decideTcp(this.#policyFor(workload), peer));
    const normalized = normalizePath(request.path, settings.pathNormalization);
    if (!normalized.ok) return this.#refused(normalized.error.message);
    // The proxy forwards what it has, not what we made of it: what was matched has to be what is forwarded.
    if (normalized.path !== request.path)
      return this.#refused(`the path is not in the form ${settings.pathNormalization}: have the proxy normalise it`);
    const asked = { ...request, path: normalized.pathForMatch, header: (name: string) => request.header(name) };
    return this.#conclude(decideRequest(this.#policyFor(workload), peer, asked));
  }

  #policyFor(workload: Workload): CompiledPolicy {
    const labels = Object.entries(workload.labels).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify([workload.namespace, labels]);
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    if (this.#compiled.size >= COMPILED_MAX) this.#compiled.clear();
    const { documents, settings } = this.#options;
    // This server is what a CUSTOM policy would have asked.
    const own = documents.get().filter(({ action }) => action !== "CUSTOM");
    const policy = compilePolicy(own, workload, settings);
    this.#compiled.set(key, policy);
    return policy;
  }

  #conclude(decision: Decision): CheckAnswer {
    if (decision.allow || this.#options.settings.enforcement === "AUDIT") return { allow: true, decision };
    return { allow: false, status: 403, id: this.#ids.next(16), decision, why: null };
  }

  #refused(why: string): CheckAnswer {
    return { allow: false, status: 400, id: this.#ids.next(16), decision: null, why };
  }
}
