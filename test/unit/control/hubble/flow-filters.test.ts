import { describe, expect, test } from "vitest";
import { FLOW_FILTER, type HubbleFilter } from "../../../../src/api/hubble-messages.ts";
import { flowMatcher } from "../../../../src/control/flows/flow-match.ts";
import { identityOf } from "../../../../src/control/hubble/endpoint.ts";
import { compileFilters } from "../../../../src/control/hubble/flow-filters.ts";
import { flowMessageOf } from "../../../../src/control/hubble/flow-message.ts";
import { storeFilterOf } from "../../../../src/control/hubble/store-filter.ts";
import type { FlowRecord } from "../../../../src/observe/flow.ts";
import { PAYMENTS, plaintextFlow, sampleFlow, WEB } from "../../../support/sample-flow.ts";

const PLACE = { cluster: "local", node: "local/cardea-control", version: "0.1.0" };

const BANK = {
  ...PAYMENTS,
  namespace: "bank",
  workload: "vault",
  service: "vault.bank.svc.cluster.local",
  ip: "10.1.2.3",
};
const SAMPLES: Readonly<Record<string, FlowRecord>> = {
  denied: sampleFlow(),
  allowed: sampleFlow({
    verdict: "allowed",
    reason: "allow-rule-matched",
    status: 201,
    method: "POST",
    path: "/pay ments",
  }),
  source: sampleFlow({ reporter: "source", verdict: "allowed", reason: "service-registered", status: 404 }),
  tcp: sampleFlow({ protocol: "tcp", method: null, host: null, path: null, status: null, traceId: null }),
  bank: sampleFlow({ destination: BANK, id: "00000000000000bb", verdict: "would-deny" }),
  world: plaintextFlow({ status: null }),
};

function filterOf(fields: Partial<HubbleFilter>): HubbleFilter {
  return { ...FLOW_FILTER.deserialize(Buffer.alloc(0)), ...fields };
}

function taken(whitelist: readonly Partial<HubbleFilter>[], blacklist: readonly Partial<HubbleFilter>[] = []) {
  const takes = compileFilters(whitelist.map(filterOf), blacklist.map(filterOf));
  return Object.keys(SAMPLES).filter((name) => takes(flowMessageOf(SAMPLES[name]!, PLACE)));
}

const ALL = Object.keys(SAMPLES);

describe("a filter takes", () => {
  test.each<[string, Partial<HubbleFilter>, readonly string[]]>([
    ["everything without a field", {}, ALL],
    ["by verdict", { verdict: ["DROPPED"] }, ["denied", "tcp", "world"]],
    ["by one of two verdicts", { verdict: ["AUDIT", "FORWARDED"] }, ["allowed", "source", "bank"]],
    ["nothing by a verdict that we never give", { verdict: ["TRACED", 77] }, []],
    ["by the reason of a drop", { dropReasonDesc: ["UNENCRYPTED_TRAFFIC"] }, ["world"]],
    ["nothing by a reason that is not known here", { dropReasonDesc: [140] }, []],
    ["by uuid", { uuid: ["00000000000000bb"] }, ["bank"]],
    ["nothing by the beginning of a uuid", { uuid: ["00000000"] }, []],
    ["by a pod's beginning in a namespace", { destinationPod: ["bank/va"] }, ["bank"]],
    ["by a namespace's pods", { sourcePod: ["shop/"] }, ALL.filter((name) => name !== "world")],
    ["by a pod of any namespace", { destinationPod: ["/vault"] }, ["bank"]],
    ["nothing by a pod without a namespace: that is the namespace default", { destinationPod: ["vault"] }, []],
    ["nothing by a pod's end", { destinationPod: ["/ault"] }, []],
    ["by service", { destinationService: ["bank/vault"] }, ["bank"]],
    ["nothing by a service of another namespace", { destinationService: ["shop/vault"] }, []],
    ["by workload", { destinationWorkload: [{ name: "vault", kind: "" }] }, ["bank"]],
    [
      "nothing by a workload of a kind, which nobody knows",
      { destinationWorkload: [{ name: "vault", kind: "Pod" }] },
      [],
    ],
    ["by domain name", { destinationFqdn: ["*.bank.svc.cluster.local."] }, ["bank"]],
    ["nothing by a part of a domain name", { destinationFqdn: ["bank"] }, []],
    ["by label", { destinationLabel: ["app=payments,version in (v1, v2)"] }, ALL],
    ["by a label's source", { sourceLabel: ["reserved:world"] }, ["world"]],
    ["by the absence of a label", { sourceLabel: ["!io.kubernetes.pod.namespace"] }, ["world"]],
    ["by what a label is not, absent ones as well", { sourceLabel: ["io.kubernetes.pod.namespace!=shop"] }, ["world"]],
    ["nothing by a label of another source", { destinationLabel: ["container:app=payments"] }, []],
    ["by identity", { sourceIdentity: [2] }, ["world"]],
    ["by another identity", { sourceIdentity: [identityOf(WEB.principal!)] }, ALL.filter((name) => name !== "world")],
    ["by address", { destinationIp: ["10.1.2.3"] }, ["bank"]],
    ["by a range of addresses", { destinationIp: ["10.0.0.0/8", "::1"] }, ["bank"]],
    ["by port", { destinationPort: ["8080"], sourcePort: ["40312"] }, ALL],
    ["nothing by another port", { destinationPort: ["80"] }, []],
    ["by direction", { trafficDirection: ["EGRESS"] }, ["source"]],
    ["by protocol", { protocol: ["HTTP"] }, ["denied", "allowed", "source", "bank", "world"]],
    ["everything by the protocol below", { protocol: ["tcp"] }, ALL],
    ["nothing by a protocol that is not spoken", { protocol: ["udp", "dns"] }, []],
    ["by status", { httpStatusCode: ["404"] }, ["source"]],
    ["by a status's beginning", { httpStatusCode: ["4+", "20+"] }, ["denied", "allowed", "source", "bank"]],
    ["by method, in any case", { httpMethod: ["post"] }, ["allowed"]],
    ["by path, anywhere in it, escapes undone", { httpPath: ["y m"] }, ["allowed"]],
    ["nothing by a path that must begin so", { httpPath: ["^refunds"] }, []],
    ["by path with both its ends", { httpPath: ["^/admin/\\w+$"] }, ["denied", "source", "bank", "world"]],
    ["by URL", { httpUrl: ["^http://payments/pay%20"] }, ["allowed"]],
    ["by event", { eventType: [{ type: 1, matchSubType: true, subType: 133 }] }, ["tcp"]],
    ["nothing by an event's other part", { eventType: [{ type: 1, matchSubType: true, subType: 1 }] }, []],
    ["by the absence of a reply", { reply: [false] }, ALL],
    ["nothing by a reply", { reply: [true] }, []],
    ["by encryption", { encrypted: [false] }, ["world"]],
    ["by the IP's version", { ipVersion: ["IPv4"] }, ALL],
    ["nothing by the other version", { ipVersion: ["IPv6"] }, []],
    ["by trace", { traceId: ["4bf92f3577b34da6a3ce929d0e0e4736"] }, ALL.filter((name) => name !== "tcp")],
    ["by node", { nodeName: ["local/cardea-*"] }, ALL],
    ["nothing by a node of another cluster", { nodeName: ["default/"] }, []],
    ["by cluster", { destinationClusterName: ["local"] }, ALL],
    ["nothing by another cluster", { sourceClusterName: ["other"] }, []],
    ["what all of its fields take", { verdict: ["DROPPED"], protocol: ["http"], encrypted: [true] }, ["denied"]],
  ])("%s", (_name, fields, names) => {
    expect(taken([fields])).toEqual(names);
  });

  test("what one of the whitelist takes and none of the blacklist", () => {
    expect(taken([{ verdict: ["DROPPED"] }, { verdict: ["AUDIT"] }])).toEqual(["denied", "tcp", "bank", "world"]);
    expect(taken([{ verdict: ["DROPPED"] }], [{ protocol: ["http"] }])).toEqual(["tcp"]);
    expect(taken([], [{ verdict: ["DROPPED"] }, { verdict: ["FORWARDED"] }])).toEqual(["bank"]);
    expect(taken([{ verdict: ["DROPPED"] }], [{}])).toEqual([]);
  });
});

test.each<[string, Partial<HubbleFilter>]>([
  ["source_ip", { sourceIp: ["10.0.0"] }],
  ["source_pod", { sourcePod: [""] }],
  ["source_port", { sourcePort: ["http"] }],
  ["destination_port", { destinationPort: ["70000"] }],
  ["destination_label", { destinationLabel: ["app in payments"] }],
  ["destination_label", { destinationLabel: ["app=a,,b"] }],
  ["source_label", { sourceLabel: ["=x"] }],
  ["source_label", { sourceLabel: ["a in (b"] }],
  ["source_fqdn", { sourceFqdn: ["shop..", "a b"] }],
  ["source_cluster_name", { sourceClusterName: [""] }],
  ["http_status_code", { httpStatusCode: ["99"] }],
  ["http_status_code", { httpStatusCode: ["4xx"] }],
  ["http_path", { httpPath: ["(?=a)"] }],
  ["http_url", { httpUrl: ["["] }],
  ["http_method", { httpMethod: ["GET"], eventType: [{ type: 1, matchSubType: false, subType: 0 }] }],
  ["protocol", { protocol: ["quic"] }],
  ["node_name", { nodeName: ["a/b/c"] }],
])("a bad %s is refused by its name", (name, fields) => {
  expect(() => compileFilters([filterOf(fields)], [])).toThrow(
    expect.objectContaining({ code: "bad-input", message: expect.stringContaining(name) as string }),
  );
});

test("a selector as long as a request may be takes no time worth telling", () => {
  const labels = `k8s:${"a.".repeat(20_000)}`;
  expect(() => compileFilters([filterOf({ sourceLabel: [labels] })], [])).toThrow(/label selector/);
});

function of(fields: readonly Partial<HubbleFilter>[]) {
  return storeFilterOf({ sinceMs: 1_000.5, untilMs: 2_000.5, whitelist: fields.map(filterOf) });
}

describe("what the store is asked to sieve", () => {
  const asked = { sinceMs: null, untilMs: null };
  const whitelists: readonly (readonly Partial<HubbleFilter>[])[] = [
    [],
    [{}],
    [{ verdict: ["DROPPED"] }],
    [{ verdict: ["DROPPED"] }, { verdict: ["AUDIT"], protocol: ["http"] }],
    [{ verdict: ["DROPPED"] }, { protocol: ["http"] }],
    [{ verdict: ["TRACED"] }],
    [{ trafficDirection: ["EGRESS"] }],
    [{ trafficDirection: ["EGRESS", "INGRESS"] }],
    [{ protocol: ["http"] }],
    [{ protocol: ["http", "udp"] }],
    [{ traceId: ["4bf92f3577b34da6a3ce929d0e0e4736"] }],
    [{ traceId: ["x"] }],
    [{ sourcePod: ["shop/"] }, { destinationPod: ["shop/"] }],
    [{ sourcePod: ["shop/"] }, { destinationPod: ["bank/va", "/vault"] }],
    [{ destinationPod: ["bank/"], sourcePod: ["shop/web"] }],
    [{ destinationPod: ["vault"] }],
  ];

  test.each(whitelists.map((each) => [JSON.stringify(each), each] as const))("%s loses nothing", (_name, fields) => {
    const whitelist = fields.map(filterOf);
    const sieves = flowMatcher(storeFilterOf({ ...asked, whitelist }), "all");
    const lost = taken(fields).filter((name) => !sieves(SAMPLES[name]!));
    expect(lost).toEqual([]);
  });

  test("is less than everything where that can be said", () => {
    const time = { fromMs: 1_000, toMs: 2_001 };
    expect(of([])).toEqual(time);
    expect(of([{ verdict: ["DROPPED"] }])).toEqual({ ...time, verdicts: ["denied"] });
    expect(of([{ sourcePod: ["shop/"] }, { destinationPod: ["shop/"] }])).toEqual({ ...time, inNamespaces: ["shop"] });
    expect(of([{ sourcePod: ["shop/"] }, {}])).toEqual(time);
    expect(of([{ trafficDirection: ["INGRESS"], protocol: ["http"] }])).toEqual({
      ...time,
      reporter: "destination",
      protocol: "http",
    });
  });

  test("by a verdict that we never give is nothing, which no empty list may turn into all", () => {
    const sieves = flowMatcher(storeFilterOf({ ...asked, whitelist: [filterOf({ verdict: ["TRACED"] })] }), "all");
    const takes = compileFilters([filterOf({ verdict: ["TRACED"] })], []);
    expect(ALL.filter((name) => sieves(SAMPLES[name]!) && takes(flowMessageOf(SAMPLES[name]!, PLACE)))).toEqual([]);
  });
});
