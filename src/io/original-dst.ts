import type { OriginalDestination } from "../core/ports.ts";

/**
 * Local mode: nothing is redirected, apps dial the sidecar itself, so no connection was meant for anybody else.
 * (Kubernetes brings the adapter that asks the kernel for SO_ORIGINAL_DST.)
 */
export const directlyDialled: OriginalDestination = Object.freeze({ of: () => null });
