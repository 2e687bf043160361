import { describe, expect, test } from "vitest";
import { ANNOTATIONS } from "../../../../src/control/inject/annotations.ts";
import type { JsonValue } from "../../../../src/core/json-value.ts";
import { containerOf, inject, MESHED, mustInject, podOf, variableOf } from "../../../support/injected.ts";

/** Every refusal says what is wrong, and what to do about it. */
function expectRefusal(pod: JsonValue, why: string, mend: string, changes = {}, namespace = MESHED): void {
  expect(inject(pod, changes, namespace)).toEqual({
    kind: "refuse",
    why: expect.stringContaining(why) as string,
    mend: expect.stringContaining(mend) as string,
  });
}

const CORRECT = "correct the manifest";

test.each<[string, JsonValue, string, string]>([
  ["no object", [], "the pod is not an object", CORRECT],
  ["metadata of another type", { metadata: 1, spec: {} }, "metadata is not an object", CORRECT],
  ["labels of another type", podOf({}, { labels: ["a"] }), "metadata.labels is not an object", CORRECT],
  [
    "a label that is no text",
    podOf({}, { labels: { a: true } }),
    'metadata.labels["a"] is not a text, in quotes',
    CORRECT,
  ],
  [
    "an annotation that is no text",
    podOf({}, { annotations: { a: 80 } }),
    'metadata.annotations["a"] is not a text',
    CORRECT,
  ],
  ["no spec", { metadata: {} }, "spec is not an object", CORRECT],
  ["no containers", { spec: {} }, "spec.containers is not at least one container", CORRECT],
  ["null containers", podOf({ containers: null }), "spec.containers is not at least one container", CORRECT],
  ["containers in no list", podOf({ containers: { name: "web" } }), "spec.containers is not a list", CORRECT],
  ["a null container", podOf({ containers: [null] }), "an item of spec.containers is not an object", CORRECT],
  ["a container without a name", podOf({ containers: [{}] }), "the name of a container is not a text", CORRECT],
  ["an init container of another type", podOf({ initContainers: ["x"] }), "an item of spec.initContainers", CORRECT],
  ["volumes in no list", podOf({ volumes: "x" }), "spec.volumes is not a list", CORRECT],
  [
    "ports in no list",
    podOf({ containers: [{ name: "web", ports: 8080 }] }),
    "ports of the container web is not a list",
    CORRECT,
  ],
  [
    "two containers of one name",
    podOf({ initContainers: [{ name: "web" }] }),
    "two containers are named web",
    "another name",
  ],
  [
    "two volumes of one name",
    podOf({ volumes: [{ name: "v" }, { name: "v" }] }),
    "two volumes are named v",
    "another name",
  ],
  [
    "our container's name",
    podOf({ containers: [{ name: "cardea-proxy" }] }),
    "a container named cardea-proxy",
    "another name",
  ],
  [
    "our init container's name",
    podOf({ initContainers: [{ name: "cardea-redirect" }] }),
    "named cardea-redirect",
    "another name",
  ],
  ["our volume's name", podOf({ volumes: [{ name: "cardea-token" }] }), "a volume named cardea-token", "another name"],
  [
    "Istio's sidecar",
    podOf({ containers: [{ name: "istio-proxy" }] }),
    "it has the sidecar of Istio already",
    "one of the two",
  ],
  [
    "Linkerd's sidecar",
    podOf({ initContainers: [{ name: "linkerd-init" }] }),
    "the sidecar of Linkerd",
    "one of the two",
  ],
  ["Windows", podOf({ os: { name: "windows" } }), "it is a Windows pod", "cardea.dev/inject: disabled"],
  [
    "our user",
    podOf({ containers: [{ name: "web", securityContext: { runAsUser: 1337 } }] }),
    "web runs as user 1337",
    "runAsUser",
  ],
  ["our user for all", podOf({ securityContext: { runAsUser: 1337 } }), "web runs as user 1337", "runAsUser"],
  [
    "our port",
    podOf({ containers: [{ name: "web", ports: [{ containerPort: 15020 }] }] }),
    "port 15020, which is the sidecar's (metrics)",
    "another port",
  ],
  [
    "a hook that the kubelet could not call",
    podOf({ containers: [{ name: "web", lifecycle: { preStop: { httpGet: { port: 8080 } } } }] }),
    "web has a preStop hook by httpGet on port 8080",
    'cardea.dev/exclude-inbound-ports: "8080"',
  ],
  [
    "original probes that are gone",
    {
      metadata: { annotations: { "cardea.dev/status": "{}" } },
      spec: { containers: [{ name: "cardea-proxy", env: [{ name: "CARDEA_PROBES", value: "{" }] }, { name: "web" }] },
    },
    "CARDEA_PROBES of the container cardea-proxy does not hold the original probes",
    "as it was before injection",
  ],
])("%s is refused", (_, pod, why, mend) => {
  expectRefusal(pod, why, mend);
});

test("a Job beside a plain container, which would never complete, is refused", () => {
  for (const restartPolicy of ["Never", "OnFailure"]) {
    expectRefusal(podOf({ restartPolicy }), `its restartPolicy is "${restartPolicy}"`, "Kubernetes 1.29", {
      sidecar: "container",
    });
  }
});

test.each<[string, Record<string, string>, string, string]>([
  [
    "a slip of the hand",
    { "cardea.dev/log-levle": "info" },
    "there is no annotation cardea.dev/log-levle",
    "did you mean cardea.dev/log-level?",
  ],
  [
    "one that we never had",
    { "cardea.dev/mtls": "off" },
    "there is no annotation cardea.dev/mtls",
    "take it out; known are",
  ],
  [
    "a port of the sidecar's own",
    { "cardea.dev/inbound-ports": "80,15000-15010" },
    "takes in port 15000, which is the sidecar's own (admin)",
    "leave it out",
  ],
  ["ports that are none", { "cardea.dev/opaque-ports": "mysql" }, "expected ports like 8080", "correct its value"],
  ["a range backwards", { "cardea.dev/exclude-inbound-ports": "90-80" }, 'found "90-80"', "correct its value"],
  ["port 0", { "cardea.dev/exclude-inbound-ports": "0" }, 'found "0"', "correct its value"],
  ["a port too large", { "cardea.dev/exclude-outbound-ports": "65536" }, 'found "65536"', "correct its value"],
  ["all where only some go", { "cardea.dev/exclude-inbound-ports": "*" }, 'found "*"', "correct its value"],
  [
    "too many ports",
    { "cardea.dev/opaque-ports": Array.from({ length: 300 }, (_, i) => i + 1).join() },
    "at most 256",
    "correct",
  ],
  [
    "a range of addresses that is none",
    { "cardea.dev/outbound-cidrs": "10.0.0.0/33" },
    "expected an IP address or CIDR",
    "correct",
  ],
  ["something for a shell", { "cardea.dev/exclude-outbound-cidrs": "$(reboot)" }, "expected an IP address", "correct"],
  ["an amount that is none", { "cardea.dev/proxy-cpu-limit": "much" }, "expected a quantity", "correct"],
  ["a level that is none", { "cardea.dev/log-level": "inof" }, "did you mean info?", "correct"],
  ["a switch that is none", { "cardea.dev/workload-api": "yes" }, 'expected true or false, found "yes"', "correct"],
  ["no threads", { "cardea.dev/concurrency": "0" }, "a whole number from 1 to 64", "correct"],
  ["an endless drain", { "cardea.dev/drain-timeout": "1h" }, "whole seconds from 1s to 10m", "correct"],
  [
    "a request over its limit",
    { "cardea.dev/proxy-memory-request": "2Gi" },
    "request more memory (2Gi) than its limit (1Gi)",
    "cardea.dev/proxy-memory-limit",
  ],
  [
    "two names for the same that differ",
    { "cardea.dev/exclude-inbound-ports": "80", "traffic.sidecar.istio.io/excludeInboundPorts": "81" },
    'cardea.dev/exclude-inbound-ports ("80") and traffic.sidecar.istio.io/excludeInboundPorts ("81") mean the same and differ',
    "keep one of them",
  ],
  [
    "Istio and Linkerd at odds",
    { "sidecar.istio.io/proxyCPU": "1", "config.linkerd.io/proxy-cpu-request": "2" },
    "mean the same and differ",
    "cardea.dev/proxy-cpu-request is ours",
  ],
  [
    "a port both in and out",
    { "cardea.dev/inbound-ports": "80,8000-8100", "cardea.dev/exclude-inbound-ports": "8080" },
    "cardea.dev/inbound-ports takes ports 8000-8100 in, and cardea.dev/exclude-inbound-ports leaves it out",
    "out of one of the two",
  ],
])("the annotation %s is refused", (_, annotations, why, mend) => {
  expectRefusal(podOf({}, { annotations }), why, mend);
  // A namespace's are read as strictly.
  expectRefusal(podOf(), why, mend, {}, { ...MESHED, annotations });
});

test.each<[string, object, string]>([
  ["a label", { labels: { "cardea.dev/inject": "enalbed" } }, "did you mean enabled?"],
  ["Istio's label", { labels: { "sidecar.istio.io/inject": "yes" } }, "expected true or false"],
  ["Linkerd's ingress mode", { annotations: { "linkerd.io/inject": "ingress" } }, "expected enabled or disabled"],
  [
    "Istio's no and Linkerd's yes",
    { labels: { "sidecar.istio.io/inject": "false" }, annotations: { "linkerd.io/inject": "enabled" } },
    "the pod says no by sidecar.istio.io/inject and yes by linkerd.io/inject",
  ],
])("a word that cannot be read is refused: %s", (_, metadata, why) => {
  expectRefusal(podOf({}, metadata), why, "say");
});

function argumentsOf(annotations: object): readonly string[] {
  const { args } = containerOf(mustInject(podOf({}, { annotations })).pod, "cardea-redirect");
  return args as readonly string[];
}

describe("what annotations do", () => {
  test.each<[Record<string, string>, string]>([
    [{ "cardea.dev/inbound-ports": "80, 90-99" }, "--inbound-ports=80,90-99"],
    [{ "traffic.sidecar.istio.io/includeInboundPorts": "*" }, "--inbound-ports=*"],
    [{ "traffic.sidecar.istio.io/includeInboundPorts": "" }, "--inbound-ports="],
    [{ "config.linkerd.io/skip-inbound-ports": "25,3306" }, "--exclude-inbound-ports=15008,15020,15021,25,3306"],
    [{ "config.linkerd.io/skip-outbound-ports": "25" }, "--exclude-outbound-ports=25"],
    [{ "traffic.sidecar.istio.io/includeOutboundPorts": "443" }, "--outbound-ports=443"],
    [{ "traffic.sidecar.istio.io/includeOutboundIPRanges": "10.0.0.0/8" }, "--outbound-cidrs=10.0.0.0/8"],
    [
      { "traffic.sidecar.istio.io/excludeOutboundIPRanges": "fd00::/8, 10.1.0.0/16" },
      "--exclude-outbound-cidrs=fd00::/8,10.1.0.0/16",
    ],
  ])("%j: %s", (annotations, argument) => {
    expect(argumentsOf(annotations)).toContain(argument);
  });

  test.each<[Record<string, string>, string, string]>([
    [{ "cardea.dev/opaque-ports": "3306" }, "CARDEA_OPAQUE_PORTS", "3306"],
    [{ "sidecar.istio.io/logLevel": "trace" }, "CARDEA_LOG_LEVEL", "debug"],
    [{ "config.linkerd.io/proxy-log-level": "warn,linkerd=info" }, "CARDEA_LOG_LEVEL", "warn"],
    [{ "cardea.dev/concurrency": "2" }, "UV_THREADPOOL_SIZE", "2"],
    [{ "cardea.dev/drain-timeout": "20s" }, "CARDEA_DRAIN_TIMEOUT_SECONDS", "20"],
  ])("%j: %s=%s", (annotations, name, value) => {
    expect(variableOf(containerOf(mustInject(podOf({}, { annotations })).pod, "cardea-proxy"), name)).toBe(value);
  });

  test("amounts, in our words and Istio's", () => {
    const annotations = { "sidecar.istio.io/proxyCPU": "1", "cardea.dev/proxy-memory-limit": "3Gi" };
    expect(containerOf(mustInject(podOf({}, { annotations })).pod, "cardea-proxy")["resources"]).toEqual({
      requests: { cpu: "1", memory: "128Mi" },
      limits: { cpu: "2", memory: "3Gi" },
    });
  });

  test("a pod's stand above its namespace's", () => {
    const namespace = {
      ...MESHED,
      annotations: { "cardea.dev/log-level": "debug", "config.linkerd.io/opaque-ports": "1" },
    };
    const { pod } = mustInject(podOf({}, { annotations: { "sidecar.istio.io/logLevel": "error" } }), {}, namespace);
    const sidecar = containerOf(pod, "cardea-proxy");
    expect(variableOf(sidecar, "CARDEA_LOG_LEVEL")).toBe("error");
    expect(variableOf(sidecar, "CARDEA_OPAQUE_PORTS")).toBe("1");
  });

  test("two names that say the same are one", () => {
    const annotations = { "cardea.dev/opaque-ports": "1,2", "config.linkerd.io/opaque-ports": "1, 2" };
    expect(inject(podOf({}, { annotations })).kind).toBe("inject");
  });

  test("what other meshes have and we have not is told, and does no harm", () => {
    const annotations = { "sidecar.istio.io/userVolume": "[]", "config.linkerd.io/proxy-version": "x", other: "y" };
    expect(mustInject(podOf({}, { annotations })).warnings).toEqual([
      "of no meaning to Cardea: sidecar.istio.io/userVolume, config.linkerd.io/proxy-version",
    ]);
  });

  test("no two of the table have a name in common", () => {
    const keys = Object.values(ANNOTATIONS).flatMap(({ key, aliases }) => [key, ...aliases.map((alias) => alias.key)]);
    expect(new Set(keys).size).toBe(keys.length);
  });
});
