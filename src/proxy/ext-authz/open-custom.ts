import { locatePlain, type Fault } from "../../core/located.ts";
import { CardeaError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { compileSliced } from "../../policy/compile.ts";
import { customRulesFor } from "../../policy/custom.ts";
import type { AuthorizationPolicy } from "../../policy/document.ts";
import { EXTENSION_PROVIDERS, type ExtensionProvider } from "../../policy/extension-provider.ts";
import type { Workload } from "../../policy/facts.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import { CustomStep } from "./custom-step.ts";

/** Extension providers as they came over the wire. Errors: `bad-input`. */
export function readProviders(texts: readonly string[]): readonly ExtensionProvider[] {
  const faults: Fault[] = [];
  const located = locatePlain(texts.map((text): unknown => JSON.parse(text)));
  const providers = EXTENSION_PROVIDERS(located, { file: "the policy set", field: "extensionProviders", faults });
  if (providers !== undefined && faults.length === 0) return providers;
  throw new CardeaError("bad-input", `an extension provider cannot be read: ${faults[0]?.message ?? ""}`);
}

interface CustomWorld {
  readonly workload: Workload;
  readonly settings: MeshSettings;
  readonly clock: Clock;
}

/** The step of a workload's CUSTOM policies; null where nobody is asked. */
export async function openCustomStep(
  documents: readonly AuthorizationPolicy[],
  { workload, settings, clock }: CustomWorld,
): Promise<CustomStep | null> {
  const rules = customRulesFor(documents, workload, settings);
  if (rules === null) return null;
  const matches = await compileSliced(rules.documents, workload, settings, clock);
  return new CustomStep({ provider: rules.provider, matches, clock });
}
