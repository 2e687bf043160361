import { beforeEach, describe, expect, it } from "vitest";
import { parseSpiffeId } from "../../../../src/core/spiffe-id.ts";
import { createServiceTable, type ServiceTable } from "../../../../src/proxy/discovery/service-table.ts";
import type { WireService, WireWorkload } from "../../../../src/proxy/discovery/wire-address.ts";

const SPIFFE_ID = parseSpiffeId("spiffe://cluster.local/ns/shop/sa/orders");
const ORDERS = "shop/orders.shop.svc.cluster.local";

function service(addresses: readonly string[], changes: Partial<WireService> = {}) {
  const ports = [{ port: 80, targetPort: 8_080, protocol: "HTTP", declared: "HTTP2" }] as const;
  const named = { fqdn: "orders.shop.svc.cluster.local", name: "orders", namespace: "shop" };
  return { kind: "service", service: { ...named, ports, addresses, ...changes } } as const;
}

function workload(name: string, addresses: readonly string[], changes: Partial<WireWorkload> = {}) {
  const names = { workload: name, namespace: "shop", canonicalName: name, revision: "v1", spiffeId: SPIFFE_ID };
  const reach = { address: addresses[0] ?? null, addresses, takesMutualTls: true, hbonePort: null, plaintext: null };
  const services = new Map([[ORDERS, new Map([[80, 8_080]])]]);
  return { kind: "workload", workload: { names, spiffeId: SPIFFE_ID, ...reach, services, ...changes } } as const;
}

let table: ServiceTable;
const lookUp = (ip: string, port: number) => table.snapshot().lookupAddress(ip, port);
const endpointsAt = (ip: string, port: number) => lookUp(ip, port)?.port.endpoints.map((each) => each.address);

beforeEach(() => {
  table = createServiceTable();
  table.put(ORDERS, service(["10.96.0.1", "fd96:0:0:0:0:0:0:1"]));
  table.put("one", workload("one", ["10.1.0.5", "fd00:0:0:0:0:0:0:5"]));
  table.put("two", workload("two", ["10.1.0.6"]));
});

describe("a service's own address", () => {
  it.each([["10.96.0.1"], ["fd96::1"], ["FD96:0::1"], ["::ffff:10.96.0.1"]])("%s is the service", (ip) => {
    expect(lookUp(ip, 80)).toMatchObject({ service: { name: "orders" }, isWorkload: false });
    expect(endpointsAt(ip, 80)).toEqual(["10.1.0.5", "10.1.0.6"]);
  });

  it.each([
    ["10.96.0.1", 8_080],
    ["10.96.0.1", 81],
    ["10.96.0.2", 80],
    ["fd96::2", 80],
    ["orders", 80],
    ["", 80],
  ])("%s:%i is nothing", (ip, port) => {
    expect(lookUp(ip, port)).toBeNull();
  });

  it("is given up and taken over", () => {
    table.put(ORDERS, service(["10.96.0.9"]));
    expect([lookUp("10.96.0.1", 80), endpointsAt("10.96.0.9", 80)?.length]).toEqual([null, 2]);
    table.remove(ORDERS);
    expect(lookUp("10.96.0.9", 80)).toBeNull();
  });

  it("in an older snapshot stays what it was", () => {
    const before = table.snapshot();
    table.remove(ORDERS);
    expect([before.lookupAddress("10.96.0.1", 80) === null, lookUp("10.96.0.1", 80)]).toEqual([false, null]);
  });
});

describe("a workload's own address", () => {
  it("is that workload alone, on a port of its service as that declares it", () => {
    expect(lookUp("10.1.0.6", 8_080)).toMatchObject({
      service: { name: "orders" },
      port: { port: 80, protocol: "HTTP", declared: "HTTP2", endpoints: [{ address: "10.1.0.6", workload: "two" }] },
      isWorkload: true,
    });
  });

  it("of its second family is dialled at that", () => {
    expect(endpointsAt("fd00::5", 8_080)).toEqual(["fd00:0:0:0:0:0:0:5"]);
  });

  it("is reached at ports that nobody declares, with nothing said of them", () => {
    expect(lookUp("10.1.0.5", 22)).toMatchObject({
      service: { fqdn: "10-1-0-5.shop.pod" },
      port: {
        protocol: "AUTO",
        endpoints: [{ address: "10.1.0.5", port: 22, containerPort: 22, spiffeId: SPIFFE_ID }],
      },
    });
  });

  it("is opaque TCP where only a tunnel leads there", () => {
    table.put("two", workload("two", ["10.1.0.6"], { takesMutualTls: false, hbonePort: 15_008 }));
    expect(lookUp("10.1.0.6", 22)).toMatchObject({ port: { protocol: "TCP", endpoints: [{ hbonePort: 15_008 }] } });
  });

  it("that two share is certain only where one of them is meant", () => {
    table.put("two", workload("two", ["10.1.0.5"], { services: new Map([[ORDERS, new Map([[80, 9_090]])]]) }));
    expect(lookUp("10.1.0.5", 9_090)).toMatchObject({ port: { endpoints: [{ workload: "two" }] } });
    expect(lookUp("10.1.0.5", 22)).toBeNull();
  });

  it("is nothing once it is gone, or may not be sent to", () => {
    table.remove("one");
    table.put("two", workload("two", []));
    expect([lookUp("10.1.0.5", 8_080), lookUp("fd00::5", 8_080), lookUp("10.1.0.6", 8_080)]).toEqual([
      null,
      null,
      null,
    ]);
  });
});
