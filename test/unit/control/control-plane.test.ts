import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type ControlFixture,
  isPresent,
  openControlFixture,
  policy,
  registryOf,
  valueWhen,
} from "./control-fixture.ts";

let mesh: ControlFixture;
beforeEach(async () => {
  mesh = await openControlFixture();
  await mesh.writePolicy("orders.yaml", policy("orders", "{selector: {matchLabels: {app: orders}}, rules: [{}]}"));
  await mesh.writePolicy("web.yaml", policy("web", "{selector: {matchLabels: {app: web}}, rules: [{}]}"));
  await mesh.writeRegistry("orders.json", registryOf("orders", 15_106));
  await mesh.writeRegistry("web.json", registryOf("web", 15_206));
  await mesh.start();
});
afterEach(() => mesh.close());

test("a sidecar joins, gets registry and policies, and acknowledges", async () => {
  const { discovery } = await mesh.join("orders");
  const set = await valueWhen(discovery.policies, isPresent);
  expect(set.documents.map((document) => document.id)).toEqual(["shop/orders"]);
  await mesh.log.line("sidecar-acknowledged", { revision: set.revision });
  const service = (await valueWhen(discovery.registry, (value) => value.services.length === 2)).lookup("web", "shop");
  expect(service?.ports.get(80)).toMatchObject({
    protocol: "HTTP",
    endpoints: [{ port: 15_206, containerPort: 8080 }],
  });
});
