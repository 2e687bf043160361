import type { Fault } from "../../core/located.ts";
import type { Latest } from "../../core/latest.ts";
import type { Logger } from "../../core/ports.ts";
import type { MeshSettings } from "../../policy/mesh-settings.ts";
import type { Sidecars } from "../distribute/sidecars.ts";
import type { FlowQueries } from "../flows/query.ts";
import type { GroundSources } from "./ground.ts";

/** What the map needs of the control plane. */
export interface MapParts extends GroundSources {
  readonly config: { readonly name: string; readonly mesh: MeshSettings };
  readonly flows: FlowQueries;
  readonly policyFaults: Latest<readonly Fault[]>;
  readonly sidecars: Sidecars;
  readonly logger: Logger;
}
