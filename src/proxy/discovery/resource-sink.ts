import type { DeltaDiscoveryResponse } from "../../api/messages.ts";
import type { Interest } from "./interest.ts";

/** Takes in the resources of one type, whatever stream they come on. */
export interface ResourceSink {
  readonly typeUrl: string;
  /** Name → version of what is held, so that a new stream goes on where the last one ended. */
  held(): ReadonlyMap<string, string>;
  /** Names to be asked for beside everything, so as to hear of them at once. */
  readonly interest?: Interest;
  /**
   * Takes a response in. Null: it is in force. Otherwise why it is not, for people; what was held before stays then.
   * Never rejects. A promise that is still open when its stream ends is answered by nobody.
   */
  apply(response: DeltaDiscoveryResponse): Promise<string | null> | string | null;
}

/** A sink that is done when `apply` returns. */
export interface InstantSink extends ResourceSink {
  apply(response: DeltaDiscoveryResponse): string | null;
}
