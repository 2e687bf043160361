import type { NamespaceFacts } from "../inject/injection.ts";
import type { InjectSettings } from "../inject/settings.ts";
import type { BypassMode } from "../bypass/bypass-mode.ts";

/** What a review of a pod has to know besides the pod. */
export interface PodWorld {
  /** In force now. */
  settings(): InjectSettings;
  /** Of namespaces that do not say. */
  bypassMode(): BypassMode;
  /**
   * Labels and annotations of a namespace; null: there is none that we know of. They may be a moment old, or as old as
   * a watch that has died unnoticed; `isFresh`: as the API server has them now. Errors: `unreachable` and kin.
   */
  namespaceOf(name: string, options?: { readonly isFresh?: boolean }): Promise<NamespaceFacts | null>;
}
