import { beforeEach, describe, expect, test } from "vitest";
import type { Resource__Output } from "../../../../src/api/generated/envoy/service/discovery/v3/Resource.ts";
import type { Service } from "../../../../src/api/generated/istio/workload/Service.ts";
import type { Workload } from "../../../../src/api/generated/istio/workload/Workload.ts";
import { parseSpiffeId } from "../../../../src/core/spiffe-id.ts";
import type { RegistrySnapshot } from "../../../../src/proxy/discovery/registry-snapshot.ts";
import { createRegistrySink, type RegistrySink } from "../../../../src/proxy/discovery/registry-sink.ts";
import { createKeptLog } from "../../../support/kept-log.ts";
import { addressResource, resourceOf, responseOf } from "./responses.ts";

const ORDERS = "shop/orders.shop.svc.cluster.local";

let sink: RegistrySink;
beforeEach(() => {
  sink = createRegistrySink({ trustDomain: "cluster.local", logger: createKeptLog() });
});

test("a service is joined with its workloads, in whatever order they come", () => {
  give(workload("w/2", { services: at(15_107) }), service(), workload("w/1"));
  expect(endpoints()).toEqual([
    {
      address: "127.0.0.1",
      port: 15_106,
      containerPort: 8080,
      hbonePort: null,
      spiffeId: "spiffe://cluster.local/ns/shop/sa/orders",
      workload: "orders-1",
      namespace: "shop",
      canonicalName: "orders",
      revision: "v1",
    },
    expect.objectContaining({ port: 15_107 }),
  ]);
});

describe("as workload.proto has it,", () => {
  test.each([
    [
      "a trust domain that is left out is the mesh's",
      { trustDomain: "" },
      { spiffeId: "spiffe://cluster.local/ns/shop/sa/orders" },
    ],
    [
      "another trust domain is kept",
      { trustDomain: "other.test" },
      { spiffeId: "spiffe://other.test/ns/shop/sa/orders" },
    ],
    [
      "a service account that is left out is the default",
      { serviceAccount: "" },
      { spiffeId: "spiffe://cluster.local/ns/shop/sa/default" },
    ],
    [
      "an IPv6 address has 16 bytes",
      { addresses: [Buffer.from("fd00000000000000000000000000000a", "hex")] },
      { address: "fd00:0:0:0:0:0:0:a" },
    ],
    [
      "the first of several addresses counts",
      { addresses: [Buffer.from([10, 0, 0, 1]), Buffer.from([10, 0, 0, 2])] },
      { address: "10.0.0.1" },
    ],
    [
      "names that are left out are the workload's own",
      { canonicalName: "", canonicalRevision: "", workloadName: "" },
      { canonicalName: "orders-1", revision: "latest", workload: "orders-1" },
    ],
  ] as const)("%s", (_name, change, expected) => {
    give(
      service(),
      workload("w/1", {
        ...change,
        ...("addresses" in change ? { addresses: [...change.addresses] } : {}),
      } as Workload),
    );
    expect(endpoints()).toMatchObject([expected]);
  });

  test("a target port that is left out is the service port", () => {
    give(
      service({ ports: [{ servicePort: 5432, appProtocol: "TCP" }] }),
      workload("w/1", { services: { [ORDERS]: { ports: [{ servicePort: 5432 }] } } }),
    );
    expect(snapshot().lookup("orders", "shop")?.ports.get(5432)).toMatchObject({
      protocol: "TCP",
      endpoints: [{ port: 5432, containerPort: 5432 }],
    });
  });

  test.each([
    ["HTTP11", "HTTP"],
    ["HTTP2", "HTTP"],
    ["GRPC", "HTTP"],
    ["TCP", "TCP"],
    ["TLS", "TLS"],
    ["UNKNOWN", "AUTO"],
  ] as const)("the protocol %s is carried as %s", (appProtocol, protocol) => {
    give(service({ ports: [{ servicePort: 80, targetPort: 8080, appProtocol }] }));
    expect(snapshot().lookup("orders", "shop")?.ports.get(80)?.protocol).toBe(protocol);
  });
});

const TCP = { ports: [{ servicePort: 80, targetPort: 8080, appProtocol: "TCP" as const }] };

describe("a workload that takes HBONE", () => {
  const own = { address: { network: "", address: Buffer.from([127, 0, 0, 1]) }, hboneMtlsPort: 15_108 };

  test("and nothing else is sent opaque TCP at the usual port", () => {
    give(service(TCP), workload("w/1", { tunnelProtocol: "HBONE" }));
    expect(endpoints()).toMatchObject([{ hbonePort: 15_008, port: 15_106 }]);
  });

  test("at a port of its own, being its own waypoint, is sent requests as well", () => {
    give(service(TCP), workload("w/1", { tunnelProtocol: "HBONE", waypoint: own }));
    expect(endpoints()).toMatchObject([{ hbonePort: 15_108 }]);
    give(service());
    expect(endpoints()).toMatchObject([{ hbonePort: 15_108, port: 15_106 }]);
  });

  test.each([
    ["behind another's waypoint is not gone around", { address: { network: "", address: Buffer.from([10, 0, 0, 9]) } }],
    ["behind a waypoint known by name is not gone around", {}],
  ])("%s", (_name, waypoint) => {
    give(service(TCP), workload("w/1", { tunnelProtocol: "HBONE", waypoint: { ...waypoint, hboneMtlsPort: 15_008 } }));
    expect(endpoints()).toEqual([]);
  });
});

describe("nothing is sent to a workload", () => {
  test.each([
    ["that is not healthy", { status: "UNHEALTHY" }],
    ["that speaks plaintext", { tunnelProtocol: "NONE" }],
    ["that takes requests by HBONE alone", { tunnelProtocol: "HBONE" }],
    ["without an address", { addresses: [] }],
    [
      "that does not take the service's port",
      { services: { [ORDERS]: { ports: [{ servicePort: 81, targetPort: 1 }] } } },
    ],
    [
      "that serves something else",
      { services: { "shop/web.shop.svc.cluster.local": { ports: [{ servicePort: 80 }] } } },
    ],
    [
      "that serves the same name of another namespace",
      { services: { "bank/orders.shop.svc.cluster.local": { ports: [{ servicePort: 80 }] } } },
    ],
  ] as const)("%s", (_name, change) => {
    give(service(), workload("w/1", change as Workload));
    expect(endpoints()).toEqual([]);
  });
});

describe("changes", () => {
  beforeEach(() => {
    give(service(), workload("w/1"), webService());
  });

  test("leave untouched services the very same objects", () => {
    const [orders, web] = [snapshot().lookup("orders", "shop"), snapshot().lookup("web", "shop")];
    give(workload("w/1", { services: at(9_999) }));
    expect(snapshot().lookup("web", "shop")).toBe(web);
    expect(snapshot().lookup("orders", "shop")).not.toBe(orders);
  });

  test("leave an older snapshot as it was", () => {
    const before = snapshot();
    sink.addresses.apply(responseOf([], [ORDERS]));
    expect(before.lookup("orders", "shop")).not.toBeNull();
    expect(before.services).toHaveLength(2);
    expect(snapshot().lookup("orders", "shop")).toBeNull();
  });

  test("take away a workload, a service, and what does not exist", () => {
    sink.addresses.apply(responseOf([], ["w/1", "never-there"]));
    expect(endpoints()).toEqual([]);
    expect(snapshot().workloadsOf(parseSpiffeId("spiffe://cluster.local/ns/shop/sa/orders"))).toEqual([]);
    sink.addresses.apply(responseOf([], [ORDERS]));
    expect(snapshot().services.map(({ name }) => name)).toEqual(["web"]);
  });

  test("move a workload from one service to another", () => {
    give(
      workload("w/1", {
        services: { "shop/web.shop.svc.cluster.local": { ports: [{ servicePort: 80, targetPort: 5 }] } },
      }),
    );
    expect(endpoints()).toEqual([]);
    expect(snapshot().lookup("web", "shop")?.ports.get(80)?.endpoints).toMatchObject([{ port: 5 }]);
  });

  test("bring back a service with the workloads that stayed", () => {
    sink.addresses.apply(responseOf([], [ORDERS]));
    give(service());
    expect(endpoints()).toHaveLength(1);
  });

  test("give an identity's names anew", () => {
    give(workload("w/1", { serviceAccount: "other" }));
    expect(snapshot().workloadsOf(parseSpiffeId("spiffe://cluster.local/ns/shop/sa/orders"))).toEqual([]);
    expect(snapshot().workloadsOf(parseSpiffeId("spiffe://cluster.local/ns/shop/sa/other"))).toMatchObject([
      { workload: "orders-1" },
    ]);
  });
});

describe("a resource is refused by name, what it was before stays, and the others are taken,", () => {
  test.each([
    ["for an address of five bytes", workload("w/1", { addresses: [Buffer.alloc(5)] }), "w/1: an address of 5 bytes"],
    ["for an empty address", workload("w/1", { addresses: [Buffer.alloc(0)] }), "w/1: an address of 0 bytes"],
    [
      "for a port that is none",
      workload("w/1", { services: { [ORDERS]: { ports: [{ servicePort: 80, targetPort: 65_536 }] } } }),
      "w/1: 65536 is no port",
    ],
    ["for a namespace with a slash", workload("w/1", { namespace: "a/b" }), "no workload's identity"],
    ["for a service account with a slash", workload("w/1", { serviceAccount: "a/sa/b" }), "no workload's identity"],
    ["for a service account that climbs", workload("w/1", { serviceAccount: ".." }), "relative path segment"],
    ["for no namespace", workload("w/1", { namespace: "" }), "empty path segment"],
    ["for a trust domain that is none", workload("w/1", { trustDomain: "a b" }), "trust domain"],
    [
      "for another uid than its name",
      addressResource("w/1", { workload: { uid: "w/2" } }),
      "w/1: is the workload w/2, named otherwise",
    ],
    ["for neither workload nor service", addressResource("w/1", {}), "w/1: neither a workload nor a service"],
    ["for no content", { name: "w/1", version: "", resource: null }, "the resource is empty"],
    ["for another type", resourceOf("w/1", { type_url: "t", value: Buffer.alloc(0) }), 'is of type "t"'],
    [
      "for bytes that are nothing",
      resourceOf("w/1", { type_url: "type.googleapis.com/istio.workload.Address", value: Buffer.from([0x0a, 0xff]) }),
      "cannot be decoded",
    ],
  ])("%s", (_name, bad, message) => {
    give(service(), workload("w/1"));
    const before = sink.addresses.held().get("w/1");
    expect(give(bad, webService())).toContain(message);
    expect(endpoints()).toMatchObject([{ port: 15_106 }]);
    expect(sink.addresses.held().get("w/1")).toBe(before);
    expect(snapshot().lookup("web", "shop")).not.toBeNull();
  });

  test("a service named otherwise, which would answer for another", () => {
    const bad = addressResource("shop/x", {
      service: { name: "orders", namespace: "shop", hostname: "orders.shop.svc.cluster.local" },
    });
    expect(give(bad)).toContain("named otherwise");
    expect(snapshot().services).toEqual([]);
  });

  test("with no more than a few faults told of many", () => {
    const bad = Array.from({ length: 1_000 }, (_, index) => addressResource(`w/${index}`, {}));
    expect(give(...bad)!.length).toBeLessThan(1_000);
  });
});

test("hostile names are names like any other", () => {
  const hostile = ["__proto__", "constructor", "toString"];
  const resources = hostile.map((name) =>
    addressResource(`shop/${name}`, {
      service: { name, namespace: "shop", hostname: name, ports: [{ servicePort: 80 }] },
    }),
  );
  const serving = Object.fromEntries(hostile.map((name) => [`shop/${name}`, { ports: [{ servicePort: 80 }] }]));
  expect(give(...resources, workload("w/1", { services: serving }))).toBeNull();
  for (const name of ["__proto__", "constructor"])
    expect(snapshot().lookup(name, "shop")?.ports.get(80)?.endpoints).toHaveLength(1);
  expect(snapshot().lookup("valueOf", "shop")).toBeNull();
});

function give(...resources: readonly Resource__Output[]) {
  return sink.addresses.apply(responseOf(resources));
}

function snapshot(): RegistrySnapshot {
  return sink.snapshot.get();
}

function endpoints() {
  return snapshot().lookup("orders", "shop")?.ports.get(80)?.endpoints;
}

function service(change: Service = {}): Resource__Output {
  return addressResource(ORDERS, {
    service: {
      name: "orders",
      namespace: "shop",
      hostname: "orders.shop.svc.cluster.local",
      ports: [{ servicePort: 80, targetPort: 8080, appProtocol: "HTTP11" }],
      ...change,
    },
  });
}

function webService(): Resource__Output {
  return addressResource("shop/web.shop.svc.cluster.local", {
    service: { name: "web", namespace: "shop", hostname: "web.shop.svc.cluster.local", ports: [{ servicePort: 80 }] },
  });
}

function workload(uid: string, change: Workload = {}): Resource__Output {
  return addressResource(uid, {
    workload: {
      uid,
      name: "orders-1",
      namespace: "shop",
      addresses: [Buffer.from([127, 0, 0, 1])],
      tunnelProtocol: "LEGACY_ISTIO_MTLS",
      trustDomain: "cluster.local",
      serviceAccount: "orders",
      canonicalName: "orders",
      canonicalRevision: "v1",
      workloadName: "orders-1",
      services: at(15_106),
      ...change,
    },
  });
}

function at(targetPort: number) {
  return { [ORDERS]: { ports: [{ servicePort: 80, targetPort }] } };
}
