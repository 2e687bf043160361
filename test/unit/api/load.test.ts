import { describe, expect, test } from "vitest";
import { packAny, unpackAny } from "../../../src/api/any.ts";
import { loadMeshApi } from "../../../src/api/load.ts";
import { ADDRESS_TYPE, POLICY_SET_TYPE, POLICY_TYPE } from "../../../src/api/resource-types.ts";

describe("the .proto files", () => {
  test("give the services their published paths and shapes", () => {
    const { discovery, certificates } = loadMeshApi();
    const delta = discovery.DeltaAggregatedResources;
    expect(delta.path).toBe("/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources");
    expect([delta.requestStream, delta.responseStream]).toEqual([true, true]);
    const create = certificates.CreateCertificate;
    expect(create.path).toBe("/istio.v1.auth.IstioCertificateService/CreateCertificate");
    expect([create.requestStream, create.responseStream]).toEqual([false, false]);
  });

  // Bytes written out by hand from the published field numbers, so that our reader and writer cannot be wrong together.
  test("read a workload that was encoded from the published field numbers", () => {
    const uid = field(20, "w/shop/orders-1");
    const address = field(3, Buffer.from([127, 0, 0, 1]));
    const port = Buffer.concat([varint(1, 80), varint(2, 15_106), varint(3, 1)]);
    const services = field(22, Buffer.concat([field(1, "shop/orders"), field(2, field(1, port))]));
    const identity = Buffer.concat([varint(5, 2), field(6, "cluster.local"), field(7, "orders")]);
    const workload = Buffer.concat([field(1, "orders-1"), field(2, "shop"), address, identity, services, uid]);
    const value = field(1, workload);
    const read = unpackAny(loadMeshApi().address, ADDRESS_TYPE, { type_url: ADDRESS_TYPE, value });
    expect(read.workload).toMatchObject({
      uid: "w/shop/orders-1",
      name: "orders-1",
      namespace: "shop",
      addresses: [Buffer.from([127, 0, 0, 1])],
      tunnelProtocol: "LEGACY_ISTIO_MTLS",
      trustDomain: "cluster.local",
      serviceAccount: "orders",
      status: "HEALTHY",
      services: { "shop/orders": { ports: [{ servicePort: 80, targetPort: 15_106, appProtocol: "HTTP11" }] } },
    });
  });

  test("read and write a delta request by the published field numbers", () => {
    const { requestDeserialize, requestSerialize } = loadMeshApi().discovery.DeltaAggregatedResources;
    const bytes = Buffer.concat([
      field(1, field(1, "orders-1")),
      field(2, ADDRESS_TYPE),
      field(3, "*"),
      field(4, "gone"),
      field(5, Buffer.concat([field(1, "shop/orders"), field(2, "v1")])),
      field(6, "n7"),
      field(7, Buffer.concat([varint(1, 3), field(2, "no")])),
    ]);
    const request = requestDeserialize(bytes);
    expect(request).toMatchObject({
      node: { id: "orders-1" },
      typeUrl: ADDRESS_TYPE,
      resourceNamesSubscribe: ["*"],
      resourceNamesUnsubscribe: ["gone"],
      initialResourceVersions: { "shop/orders": "v1" },
      responseNonce: "n7",
      errorDetail: { code: 3, message: "no" },
    });
    expect(requestSerialize(request).equals(bytes)).toBe(true);
  });

  test("write a delta response by the published field numbers", () => {
    const { responseSerialize } = loadMeshApi().discovery.DeltaAggregatedResources;
    const resource = { name: "a", version: "v", resource: { type_url: "t", value: Buffer.from("x") } };
    const bytes = responseSerialize({ typeUrl: "t", nonce: "n", resources: [resource], removedResources: ["b"] });
    const any = Buffer.concat([field(1, "t"), field(2, "x")]);
    expect(
      bytes.equals(
        Buffer.concat([
          field(2, Buffer.concat([field(1, "v"), field(2, any), field(3, "a")])),
          field(4, "t"),
          field(5, "n"),
          field(6, "b"),
        ]),
      ),
    ).toBe(true);
  });

  test("a policy set's zero values are the strict ones", () => {
    const { settings } = loadMeshApi().policySet.deserialize(field(2, Buffer.alloc(0)));
    expect(settings).toMatchObject({ enforcement: "ENFORCE", defaultAction: "DENY", pathNormalization: "BASE" });
  });
});

describe("unpackAny refuses", () => {
  const { policy } = loadMeshApi();
  const good = packAny(policy, POLICY_TYPE, { namespace: "shop", name: "a" });

  test("nothing wrong: the counterpart", () => {
    expect(unpackAny(policy, POLICY_TYPE, good)).toMatchObject({ namespace: "shop", name: "a" });
  });

  test.each([
    ["an absent resource", null],
    ["another type", { ...good, type_url: POLICY_SET_TYPE }],
    ["a type without its prefix", { ...good, type_url: "cardea.mesh.v1.Policy" }],
    ["a truncated number", { ...good, value: Buffer.from([0x30, 0x80]) }],
    ["a wire type that does not exist", { ...good, value: Buffer.from([0x7f, 0x01]) }],
    ["an unknown field that is longer than the message", { ...good, value: Buffer.from([0x7a, 0xff, 0x01]) }],
  ])("%s", (_name, any) => {
    expect(() => unpackAny(policy, POLICY_TYPE, any)).toThrow(expect.objectContaining({ code: "bad-input" }));
  });
});

/** A length-delimited protobuf field. */
function field(number: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([base128((number << 3) | 2), base128(bytes.length), bytes]);
}

function varint(number: number, value: number): Buffer {
  return Buffer.concat([base128(number << 3), base128(value)]);
}

function base128(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 127) | 128);
  }
}
