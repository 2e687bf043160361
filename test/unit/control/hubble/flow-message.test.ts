import { describe, expect, test } from "vitest";
import { FLOW } from "../../../../src/api/hubble-messages.ts";
import { endpointOf, identityOf } from "../../../../src/control/hubble/endpoint.ts";
import { extensionsOf, flowMessageOf } from "../../../../src/control/hubble/flow-message.ts";
import type { FlowRecord } from "../../../../src/observe/flow.ts";
import { NO_TLS } from "../../../../src/observe/flow.ts";
import { ProtobufWriter } from "../../../../src/wire/protobuf-writer.ts";
import { ProtobufReader } from "../../../../src/wire/protobuf-reader.ts";
import { STRUCT } from "../../../../src/wire/protobuf-struct.ts";
import { PAYMENTS, plaintextFlow, sampleFlow, WEB } from "../../../support/sample-flow.ts";

const PLACE = { cluster: "local", node: "local/cardea-control", version: "0.1.0" };

/** As a client reads it. */
function read(flow: FlowRecord) {
  return FLOW.deserialize(FLOW.serialize({ ...flowMessageOf(flow, PLACE), extensions: extensionsOf(flow) }));
}

describe("a denied request", () => {
  const flow = read(sampleFlow({ policy: "shop/payments", rule: 2 }));

  test("is DROPPED, with the reason, and the policy that denies it", () => {
    expect(flow).toMatchObject({
      verdict: "DROPPED",
      dropReason: 133,
      dropReasonDesc: "POLICY_DENIED",
      trafficDirection: "INGRESS",
      isReply: { value: false },
      ingressDeniedBy: [
        {
          namespace: "shop",
          name: "payments",
          kind: "AuthorizationPolicy",
          labels: ["cardea:rule=2", "cardea:revision=0a1b2c3d4e5f"],
        },
      ],
      ingressAllowedBy: [],
      egressAllowedBy: [],
      egressDeniedBy: [],
    });
  });

  test("says what was asked for, how long it took, and what explains it", () => {
    expect(flow).toMatchObject({
      uuid: "9f1c2a7be03d4455",
      time: { seconds: Date.UTC(2026, 10, 22, 9, 30) / 1_000, nanos: 125_000_000 },
      Type: "L7",
      eventType: { type: 129, subType: 0 },
      l7: {
        type: "REQUEST",
        latencyNs: 412_000,
        http: { code: 403, method: "GET", url: "http://payments/admin/refunds", protocol: "HTTP" },
      },
      Summary:
        "HTTP 403 0ms (GET http://payments/admin/refunds); no-allow-rule-matched; cardea explain 9f1c2a7be03d4455",
      traceContext: { parent: { traceId: "4bf92f3577b34da6a3ce929d0e0e4736" } },
      nodeName: "local/cardea-control",
    });
  });

  test("names both sides as Cilium would", () => {
    expect(flow).toMatchObject({
      IP: { source: "127.0.0.1", destination: "127.0.0.1", ipVersion: "IPv4", encrypted: true },
      l4: { TCP: { sourcePort: 40_312, destinationPort: 8_080 } },
      source: { namespace: "shop", podName: "web", clusterName: "local", workloads: [{ name: "web", kind: "" }] },
      destination: {
        namespace: "shop",
        podName: "payments",
        identity: identityOf(PAYMENTS.principal!),
        labels: [
          "k8s:app=payments",
          "k8s:io.cilium.k8s.policy.cluster=local",
          "k8s:io.cilium.k8s.policy.serviceaccount=payments",
          "k8s:io.kubernetes.pod.namespace=shop",
          "k8s:version=v1",
        ],
      },
      sourceService: null,
      destinationService: { name: "payments", namespace: "shop" },
      destinationNames: ["payments.shop.svc.cluster.local"],
    });
  });

  test("carries what Hubble has no place for, as a Struct", () => {
    const { type_url: typeUrl, value } = flow.extensions!;
    const writer = new ProtobufWriter();
    writer.bytes(value);
    expect(typeUrl).toBe("type.googleapis.com/google.protobuf.Struct");
    expect(STRUCT.read(new ProtobufReader(writer.finish()))).toMatchObject({
      id: "9f1c2a7be03d4455",
      reason: "no-allow-rule-matched",
      sourcePrincipal: WEB.principal,
      tlsGroup: "X25519MLKEM768",
    });
  });
});

describe("verdicts", () => {
  test.each([
    ["allowed", "allow-rule-matched", "FORWARDED", "DROP_REASON_UNKNOWN"],
    ["denied", "no-allow-rule-matched", "DROPPED", "POLICY_DENIED"],
    ["denied", "default-action", "DROPPED", "POLICY_DENIED"],
    ["denied", "deny-rule-matched", "DROPPED", "POLICY_DENY"],
    ["denied", "custom-denied", "DROPPED", "POLICY_DENY"],
    ["denied", "plaintext-refused", "DROPPED", "UNENCRYPTED_TRAFFIC"],
    ["denied", "peer-certificate-expired", "DROPPED", "AUTH_REQUIRED"],
    ["would-deny", "no-allow-rule-matched", "AUDIT", "DROP_REASON_UNKNOWN"],
    ["error", "upstream-reset", "ERROR", "DROP_REASON_UNKNOWN"],
  ] as const)("%s for %s is %s, %s", (verdict, reason, expected, dropReasonDesc) => {
    expect(read(sampleFlow({ verdict, reason }))).toMatchObject({ verdict: expected, dropReasonDesc });
  });

  test.each([
    ["destination", "allowed", "ingressAllowedBy"],
    ["destination", "denied", "ingressDeniedBy"],
    ["destination", "would-deny", "ingressDeniedBy"],
    ["source", "allowed", "egressAllowedBy"],
    ["source", "denied", "egressDeniedBy"],
  ] as const)("of the %s, %s: the policy stands in %s alone", (reporter, verdict, list) => {
    const flow = read(sampleFlow({ reporter, verdict, policy: "mesh/default" }));
    const lists = ["ingressAllowedBy", "ingressDeniedBy", "egressAllowedBy", "egressDeniedBy"] as const;
    expect(lists.filter((name) => flow[name].length > 0)).toEqual([list]);
    expect(flow[list][0]).toMatchObject({ namespace: "mesh", name: "default", kind: "Mesh" });
  });

  test("an error is no policy's doing", () => {
    const flow = read(sampleFlow({ verdict: "error", reason: "upstream-reset", policy: "shop/payments" }));
    expect([...flow.ingressAllowedBy, ...flow.ingressDeniedBy]).toEqual([]);
  });
});

describe("an opaque connection", () => {
  const tcp = { protocol: "tcp", method: null, host: null, path: null, status: null } as const;

  test.each([
    ["that was denied is a drop", { verdict: "denied" }, { type: 1, subType: 133 }],
    ["that a policy let in is its verdict", { verdict: "allowed", policy: "a/b" }, { type: 5, subType: 0 }],
    ["as the caller's sidecar saw it went to the proxy", { verdict: "allowed", reporter: "source" }, { type: 4 }],
    ["that failed went to the proxy", { verdict: "error", reason: "upstream-reset" }, { type: 4, subType: 1 }],
  ] as const)("%s", (_name, changes, eventType) => {
    const flow = read(sampleFlow({ ...tcp, ...changes, bytesReceived: 10, bytesSent: 7 }));
    expect(flow).toMatchObject({ Type: "L3_L4", eventType, l7: null });
    expect(flow.Summary).toMatch(/^TCP 10 B in, 7 B out, 0ms/);
  });
});

describe("whoever has no identity", () => {
  test("is the world", () => {
    const { source, IP, dropReasonDesc } = read(plaintextFlow());
    expect(source).toMatchObject({ identity: 2, labels: ["reserved:world"], namespace: "", podName: "" });
    expect(IP!.encrypted).toBe(false);
    expect(dropReasonDesc).toBe("UNENCRYPTED_TRAFFIC");
  });

  test("is not the world where the registry knows the workload", () => {
    const known = endpointOf({ ...PAYMENTS, principal: null }, "local");
    expect(known).toMatchObject({ identity: identityOf("shop/payments"), podName: "payments" });
    expect(known.labels).not.toContain("reserved:world");
  });
});

test("numbers of identities are the same everywhere, differ, and are none of Cilium's own", () => {
  expect(identityOf("spiffe://cluster.local/ns/shop/sa/web")).toBe(1_385_915_728);
  const many = Array.from({ length: 2_000 }, (_, i) => identityOf(`spiffe://cluster.local/ns/shop/sa/w${i}`));
  expect(new Set(many).size).toBe(2_000);
  expect(Math.min(...many)).toBeGreaterThanOrEqual(65_536);
  expect(Math.max(...many)).toBeLessThan(2 ** 32);
});

test.each([
  ["an escape of terminals", "/a\u001b[2J", "http://payments/a%1B[2J"],
  ["a line break", "/a\r\nb", "http://payments/a%0D%0Ab"],
  ["markup", '/<script>"x"', "http://payments/%3Cscript%3E%22x%22"],
  ["what turns the text around", "/\u202egnp", "http://payments/%E2%80%AEgnp"],
  ["half a character", "/\ud800", "http://payments/%EF%BF%BD"],
  ["an escape that is there", "/a%2Fb", "http://payments/a%2Fb"],
])("a path with %s is harmless, in the URL and in the summary", (_name, path, url) => {
  const flow = read(sampleFlow({ path, tls: NO_TLS }));
  expect(flow.l7!.http!.url).toBe(url);
  expect(flow.Summary).toContain(url);
});

test("names and labels act on no terminal", () => {
  const source = { ...WEB, workload: "w\u001b[31m", labels: { "a\n": "b\u0007" } };
  const flow = read(sampleFlow({ source, method: "GE\u0000T" }));
  expect(flow.source!.podName).toBe("w\\x1b[31m");
  expect(flow.source!.labels).toContain("k8s:a\\x0a=b\\x07");
  expect(flow.l7!.http!.method).toBe("GE\\x00T");
});
