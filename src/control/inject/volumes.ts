import type { JsonObject } from "../../core/json-value.ts";
import { POD_FILES } from "../../config/pod-variables.ts";
import type { PodOptions } from "./annotations.ts";
import { VOLUMES } from "./names.ts";
import type { InjectSettings } from "./settings.ts";

/** Readable by all: what the API server would fill in. */
const DEFAULT_MODE = 0o644;

/** What the sidecar has mounted; of kinds that Pod Security's `restricted` allows. */
export function sidecarVolumes(settings: InjectSettings, options: PodOptions): readonly JsonObject[] {
  const { tokenAudience: audience, tokenTtlSec: expirationSeconds, rootConfigMap } = settings;
  const token = { audience, expirationSeconds, path: fileName(POD_FILES.token) };
  const labels = { path: fileName(POD_FILES.labels), fieldRef: { apiVersion: "v1", fieldPath: "metadata.labels" } };
  return [
    { name: VOLUMES.token, projected: { defaultMode: DEFAULT_MODE, sources: [{ serviceAccountToken: token }] } },
    { name: VOLUMES.root, configMap: { defaultMode: DEFAULT_MODE, name: rootConfigMap } },
    { name: VOLUMES.pod, downwardAPI: { defaultMode: DEFAULT_MODE, items: [labels] } },
    { name: VOLUMES.noApiToken, emptyDir: {} },
    ...(options.workloadApi === true ? [{ name: VOLUMES.identity, emptyDir: {} }] : []),
  ];
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
