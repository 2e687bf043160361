import { expect, test } from "vitest";
import { formatFault, type Fault, locatePlain } from "../../../src/core/located.ts";
import { parseTrafficDocument } from "../../../src/traffic/document.ts";

test("hosts are read with their namespaces, its own written out", () => {
  const { document, faults } = read({
    egress: [{ hosts: ["./*", "bank/Ledger.bank.svc.cluster.local"] }, { hosts: ["~/*"] }],
  });
  expect(faults).toEqual([]);
  expect(document).toMatchObject({
    kind: "Sidecar",
    labels: null,
    egress: [
      { namespace: "shop", host: "*" },
      { namespace: "bank", host: "ledger.bank.svc.cluster.local" },
    ],
  });
});

test("without a specification everything is reached", () => {
  expect(read(undefined).document).toMatchObject({ labels: null, egress: null });
});

test.each([
  ["no namespace", { egress: [{ hosts: ["ledger"] }] }, "expected namespace/host"],
  ["two slashes", { egress: [{ hosts: ["a/b/c"] }] }, "expected namespace/host"],
  ["a wildcard in the middle", { egress: [{ hosts: ["bank/a*.b"] }] }, "expected a host"],
  ["a namespace that is none", { egress: [{ hosts: ["Bank/*"] }] }, "expected namespace/host"],
  ["no hosts", { egress: [{ hosts: [] }] }, "spec.egress[0].hosts"],
  ["an empty list of egress", { egress: [] }, "spec.egress"],
  ["a listener", { egress: [{ hosts: ["./*"], port: { number: 80 } }] }, "spec.egress[0].port: is not supported"],
  ["ingress", { ingress: [] }, "spec.ingress: is not supported"],
  ["leave to reach anything", { outboundTrafficPolicy: { mode: "ALLOW_ANY" } }, "expected one of REGISTRY_ONLY"],
  ["an unknown field", { egres: [] }, "unknown field"],
])("%s is refused by name", (_name, spec, fault) => {
  const { document, faults } = read(spec);
  expect(document).toBeNull();
  expect(faults.join()).toContain(fault);
});

function read(spec: object | undefined) {
  const faults: Fault[] = [];
  const metadata = { name: "default", namespace: "shop" };
  const plain = { apiVersion: "networking.istio.io/v1", kind: "Sidecar", metadata, ...(spec && { spec }) };
  const document = parseTrafficDocument("Sidecar", locatePlain(plain), { file: "s.yaml" }, faults);
  return { document, faults: faults.map(formatFault) };
}
