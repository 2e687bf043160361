import * as fc from "fast-check";
import { expect, test } from "vitest";
import { loadMeshApi } from "../../../../src/api/load.ts";
import { DELTA_DISCOVERY_RESPONSE, type DeltaDiscoveryResponse } from "../../../../src/api/messages.ts";
import { createPolicySinks } from "../../../../src/proxy/discovery/policy-sinks.ts";
import { createRegistrySink } from "../../../../src/proxy/discovery/registry-sink.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { createSimulatedClock } from "../../../support/simulated-clock.ts";
import { addressResource, policyResource, responseOf, setResource } from "./responses.ts";

const { responseSerialize } = loadMeshApi().discovery.DeltaAggregatedResources;
const policies = [policyResource("a", { rules: [{}] }), policyResource("b", { action: "DENY", rules: [{}] })];
const ports = [{ servicePort: 80, targetPort: 8080 }];
const responses = {
  policies: responseSerialize(responseOf(policies, ["AuthorizationPolicy/shop/c"])),
  policySet: responseSerialize(responseOf([setResource("r1", policies)])),
  addresses: responseSerialize(
    responseOf([
      addressResource("shop/a.shop.svc", { service: { name: "a", namespace: "shop", hostname: "a.shop.svc", ports } }),
      addressResource("w", {
        workload: {
          uid: "w",
          name: "w",
          namespace: "shop",
          addresses: [Buffer.alloc(4)],
          services: { "shop/a.shop.svc": { ports } },
        },
      }),
    ]),
  ),
};

/** A few bytes of a good message changed, left out or doubled. */
const mutation = fc.record({
  which: fc.constantFrom("policies", "policySet", "addresses"),
  edits: fc.array(
    fc.record({
      at: fc.nat(4_096),
      kind: fc.constantFrom("set", "cut", "double"),
      byte: fc.integer({ min: 0, max: 255 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
} as const);

test("damaged responses are taken or refused, and never put anything in force that is not whole", async () => {
  let taken = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(mutation, async ({ which, edits }) => {
      const sinks = openSinks();
      expect(sinks.policies.apply(decode(responses.policies)!)).toBeNull();
      const damaged = decode(edits.reduce(edit, responses[which]));
      // What cannot be decoded ends the stream; the sinks never see it.
      if (damaged === null) return;
      const answer = sinks[which].apply(damaged);
      if ((await answer) === null) taken += 1;
      else refused += 1;
      const set = sinks.inForce.get();
      if (set === null) return;
      expect(set.revision).toBe("r1");
      expect(set.documents.map(({ id }) => id).toSorted()).toEqual(["shop/a", "shop/b"]);
      expect(set.compiled.deny.rules).toHaveLength(1);
    }),
    { seed: 2, numRuns: 5_000 },
  );
  // The damage does reach the sinks, and not all of it is noticed by luck.
  expect([taken > 30, refused > 100]).toEqual([true, true]);
});

test("the same responses, whole, are put in force", async () => {
  const sinks = openSinks();
  sinks.policies.apply(decode(responses.policies)!);
  expect(await sinks.policySet.apply(decode(responses.policySet)!)).toBeNull();
  expect(sinks.inForce.get()?.revision).toBe("r1");
});

function openSinks() {
  const logger = createKeptLog();
  const workload = { namespace: "shop", labels: {} };
  const sinks = createPolicySinks({ workload, clock: createSimulatedClock(0), logger });
  const { addresses } = createRegistrySink({ trustDomain: "cluster.local", logger });
  return { ...sinks, addresses };
}

function decode(bytes: Buffer): DeltaDiscoveryResponse | null {
  try {
    return DELTA_DISCOVERY_RESPONSE.deserialize(bytes);
  } catch {
    return null;
  }
}

function edit(bytes: Buffer, { at, kind, byte }: { at: number; kind: "set" | "cut" | "double"; byte: number }): Buffer {
  const position = bytes.length === 0 ? 0 : at % bytes.length;
  const before = bytes.subarray(0, position);
  if (kind === "set") return Buffer.concat([before, Buffer.from([byte]), bytes.subarray(position + 1)]);
  if (kind === "cut") return Buffer.concat([before, bytes.subarray(position + 1 + (byte % 16))]);
  return Buffer.concat([before, bytes.subarray(position, position + 1 + (byte % 16)), bytes.subarray(position)]);
}
