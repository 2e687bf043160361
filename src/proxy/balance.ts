import { CardeaError } from "../core/errors.ts";
import type { Random } from "../core/ports.ts";
import type { Endpoint } from "./discovery/registry-snapshot.ts";
import type { Route } from "./route.ts";

/**
 * The less busy of two workloads drawn at random: nearly as even as looking at all, and two senders that know nothing
 * of each other do not flock to the same one. Errors: `no-healthy-upstream`.
 */
export function chooseEndpoint(route: Route, random: Random, activeAt: (endpoint: Endpoint) => number): Endpoint {
  const { endpoints } = route.port;
  const count = endpoints.length;
  if (count === 0) throw new CardeaError("no-healthy-upstream", `${route.service.fqdn} has no workload`);
  if (count === 1) return endpoints[0]!;
  const first = Math.floor(random.float() * count);
  const step = 1 + Math.floor(random.float() * (count - 1));
  const left = endpoints[first]!;
  const right = endpoints[(first + step) % count]!;
  return activeAt(right) < activeAt(left) ? right : left;
}
