import type { JsonObject } from "../../core/json-value.ts";
import { ANNOTATIONS, type PodOptions } from "./annotations.ts";
import { Refused } from "./injection.ts";
import { parseQuantity } from "./quantity.ts";
import type { InjectSettings, Resources } from "./settings.ts";

/** The mesh's amounts with the pod's in their place. Throws Refused where a request is over its limit. */
export function proxyResources(
  { proxyResources: { requests, limits } }: InjectSettings,
  options: PodOptions,
): JsonObject {
  const resources: Resources = {
    requests: { cpu: options.cpuRequest ?? requests.cpu, memory: options.memoryRequest ?? requests.memory },
    limits: { cpu: options.cpuLimit ?? limits.cpu, memory: options.memoryLimit ?? limits.memory },
  };
  assertWithin("CPU", resources.requests.cpu, resources.limits.cpu, ANNOTATIONS.cpuLimit.key);
  assertWithin("memory", resources.requests.memory, resources.limits.memory, ANNOTATIONS.memoryLimit.key);
  return resourcesOf(resources);
}

/** As a container has them; what is not set is left out. */
export function resourcesOf({ requests, limits }: Resources): JsonObject {
  return { ...amounts("requests", requests), ...amounts("limits", limits) };
}

function amounts(kind: string, { cpu, memory }: Resources["requests"]): JsonObject {
  const given = { ...(cpu === null ? {} : { cpu }), ...(memory === null ? {} : { memory }) };
  return Object.keys(given).length === 0 ? {} : { [kind]: given };
}

function assertWithin(what: string, request: string | null, limit: string | null, limitKey: string): void {
  if (request === null || limit === null || parseQuantity(request) <= parseQuantity(limit)) return;
  throw new Refused(
    `the sidecar would request more ${what} (${request}) than its limit (${limit})`,
    `raise the limit by ${limitKey}, or request less`,
  );
}
