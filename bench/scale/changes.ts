import { POLICY_SET_NAME } from "../../src/api/resource-types.ts";
import type { ControlProcess } from "./control-process.ts";
import type { Expectation } from "./worker-messages.ts";
import {
  policyOf,
  serviceFile,
  serviceName,
  serviceResource,
  type WorldSize,
  workloadResource,
  type WorldSidecar,
} from "./world.ts";

/** One change of the mesh: what it writes, and who must learn of what. */
export interface Change {
  readonly expectation: Expectation;
  write(control: ControlProcess): Promise<void> | void;
}

/** Changes of one kind, one after the other. */
export interface ChangeKind {
  readonly name: string;
  readonly changes: readonly Change[];
}

const ROLLOUT_PODS = 10;
const ROLLOUT_STEP_MS = 100;
const NAMESPACE_SERVICES = 50;

/** `count` changes, most of them of endpoints, as in a cluster. */
export function planChanges(size: WorldSize, sidecars: readonly WorldSidecar[], count: number): readonly ChangeKind[] {
  const share = (fraction: number): number => Math.max(2, Math.round(count * fraction));
  const added = size.services;
  return [
    { name: "endpoint added or removed", changes: times(share(0.6), (index) => endpointChange(index, size)) },
    { name: "policy changed", changes: times(share(0.2), (index) => policyChange(index, size, sidecars)) },
    { name: "service added", changes: times(share(0.1), (index) => serviceAdded(added + index)) },
    { name: "rollout of 10 pods", changes: times(share(0.04), (index) => rollout(index, size)) },
    {
      name: "namespace of 50 services",
      changes: times(2, (index) => namespaceAdded(added + share(0.1) + index * NAMESPACE_SERVICES)),
    },
  ];
}

/** Each service in its turn gets one more, and in the next turn loses it. */
function endpointChange(index: number, size: WorldSize): Change {
  const service = Math.floor(index / 2) % size.services;
  const own = workloadsOf(service, size);
  const more = index % 2 === 0 ? [...own, "more"] : own;
  return {
    expectation: { names: [workloadResource(service, "more")], concerns: usersOf(service) },
    write: (control) => writeService(control, service, more),
  };
}

function policyChange(index: number, size: WorldSize, sidecars: readonly WorldSidecar[]): Change {
  const policy = index % size.policies;
  const { name, text } = policyOf(policy, size.services, index + 1);
  const namespace = name.split(".")[0];
  const { spiffeId } = sidecars.find(
    (each) => each.namespace === namespace && each.name.startsWith(`${serviceName(policy % size.services)}-`),
  )!;
  const resource = `AuthorizationPolicy/${namespace}/policy-${policy}`;
  return {
    expectation: { names: [resource, POLICY_SET_NAME], concerns: { who: "identity", spiffeId } },
    write: (control) => control.writePolicy(name, text),
  };
}

function serviceAdded(service: number): Change {
  return {
    expectation: { names: [serviceResource(service)], concerns: { who: "all" } },
    write: (control) => writeService(control, service, [0, 1]),
  };
}

/** Pod by pod, as a deployment does it; the service's own ones stay gone from the first rollout on. */
function rollout(index: number, size: WorldSize): Change {
  const service = size.services - 1;
  const [before, after] = [podsOf(index), podsOf(index + 1)];
  return {
    expectation: { names: after.map((pod) => workloadResource(service, pod)), concerns: usersOf(service) },
    async write(control) {
      for (let done = 1; done <= ROLLOUT_PODS; done += 1) {
        if (done > 1) await new Promise((resolve) => setTimeout(resolve, ROLLOUT_STEP_MS));
        writeService(control, service, [...after.slice(0, done), ...before.slice(done)]);
      }
    },
  };
}

function podsOf(generation: number): string[] {
  return times(ROLLOUT_PODS, (pod) => `g${generation}p${pod}`);
}

function namespaceAdded(first: number): Change {
  const services = times(NAMESPACE_SERVICES, (index) => first + index);
  return {
    expectation: { names: services.map(serviceResource), concerns: { who: "all" } },
    write(control) {
      for (const service of services) writeService(control, service, [0, 1]);
    },
  };
}

function usersOf(service: number): Expectation["concerns"] {
  return { who: "users", services: [serviceResource(service)] };
}

function workloadsOf(service: number, size: WorldSize): (number | string)[] {
  return times(Math.max(0, Math.ceil((size.sidecars - service) / size.services)), (index) => index);
}

function writeService(control: ControlProcess, service: number, workloads: readonly (number | string)[]): void {
  const { name, text } = serviceFile(service, workloads);
  control.writeRegistry(name, text);
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
