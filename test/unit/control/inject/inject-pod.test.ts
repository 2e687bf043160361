import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAppProbes } from "../../../../src/config/app-probes.ts";
import type { JsonObject, JsonValue } from "../../../../src/core/json-value.ts";
import { removeInjection } from "../../../../src/control/inject/remove-injection.ts";
import { sidecarModeOf } from "../../../../src/control/inject/settings.ts";
import {
  containerOf,
  inject,
  MESHED,
  mustInject,
  namesOf,
  podOf,
  variableOf,
  withoutEmpty,
} from "../../../support/injected.ts";
import { applyJsonPatch } from "../../../support/json-patch.ts";

const OTHERS = { name: "shop", labels: {}, annotations: {} };

function labels(words: object): JsonObject {
  return podOf({}, { labels: words });
}

function annotated(words: object): JsonObject {
  return podOf({}, { annotations: words });
}

describe("whether a pod is injected", () => {
  test.each<[string, JsonObject, object, string]>([
    ["nobody says anything", podOf(), OTHERS, "neither the pod nor the namespace shop has the label cardea.dev/inject"],
    ["the pod opts out", labels({ "cardea.dev/inject": "disabled" }), MESHED, "the pod opts out by cardea.dev/inject"],
    ["by an annotation", annotated({ "cardea.dev/inject": "false" }), MESHED, "the pod opts out by cardea.dev/inject"],
    [
      "in Istio's words",
      labels({ "sidecar.istio.io/inject": "false" }),
      MESHED,
      "the pod opts out by sidecar.istio.io/inject",
    ],
    [
      "in Linkerd's words",
      annotated({ "linkerd.io/inject": "disabled" }),
      MESHED,
      "the pod opts out by linkerd.io/inject",
    ],
    [
      "the namespace opts out",
      podOf(),
      { ...OTHERS, labels: { "istio-injection": "disabled" } },
      "the namespace shop opts out by istio-injection",
    ],
    [
      "our no stands above Istio's yes",
      labels({ "cardea.dev/inject": "disabled", "sidecar.istio.io/inject": "true" }),
      MESHED,
      "the pod opts out by cardea.dev/inject",
    ],
    [
      "the cluster's own namespace",
      podOf(),
      { ...MESHED, name: "kube-system" },
      "the namespace kube-system is never injected",
    ],
    [
      "our own namespace",
      podOf(),
      { ...MESHED, name: "cardea-system" },
      "the namespace cardea-system is never injected",
    ],
    ["its node's network", podOf({ hostNetwork: true }), MESHED, "it shares its node's network (hostNetwork)"],
    [
      "a static pod's mirror",
      annotated({ "kubernetes.io/config.mirror": "x" }),
      MESHED,
      "it is the mirror of a static pod",
    ],
    [
      "Istio's label, and Istio has been there",
      podOf({ initContainers: [{ name: "istio-proxy" }] }),
      { ...OTHERS, labels: { "istio-injection": "enabled" } },
      "it has the sidecar of Istio already",
    ],
    ["garbage that nobody asked to inject", { spec: 1 }, OTHERS, "neither the pod nor"],
  ])("left alone: %s", (_, pod, namespace, why) => {
    const injection = inject(pod, {}, { ...OTHERS, ...namespace });
    expect(injection).toEqual({ kind: "leave", why: expect.stringContaining(why) as string });
  });

  test.each<[string, JsonObject, object]>([
    ["the namespace's label", podOf(), MESHED],
    ["the namespace's revision", podOf(), { ...OTHERS, labels: { "cardea.dev/rev": "canary" } }],
    ["the pod's label", labels({ "cardea.dev/inject": "true" }), OTHERS],
    ["Istio's label", podOf(), { ...OTHERS, labels: { "istio-injection": "enabled" } }],
    ["Istio's revision", podOf(), { ...OTHERS, labels: { "istio.io/rev": "1-29" } }],
    ["Linkerd's annotation", podOf(), { ...OTHERS, annotations: { "linkerd.io/inject": "enabled" } }],
    [
      "our yes beside Istio's no",
      labels({ "cardea.dev/inject": "enabled", "sidecar.istio.io/inject": "false" }),
      OTHERS,
    ],
  ])("injected by %s", (_, pod, namespace) => {
    expect(inject(pod, {}, { ...OTHERS, ...namespace }).kind).toBe("inject");
  });
});

function drainOf(seconds: number, sidecar: "native" | "container"): readonly unknown[] {
  const { pod } = mustInject(podOf({ terminationGracePeriodSeconds: seconds }), { sidecar });
  const proxy = containerOf(pod, "cardea-proxy");
  return [variableOf(proxy, "CARDEA_DRAIN_DELAY_SECONDS"), variableOf(proxy, "CARDEA_DRAIN_TIMEOUT_SECONDS")];
}

describe("the order of starting and ending", () => {
  test("the redirect, then the sidecar, then everything of the pod, its init containers included", () => {
    const { pod } = mustInject(podOf({ initContainers: [{ name: "migrate" }] }));
    expect(namesOf(pod, "initContainers")).toEqual(["cardea-redirect", "cardea-proxy", "migrate"]);
    expect(namesOf(pod, "containers")).toEqual(["web"]);
  });

  test("a native sidecar holds the app back until it is ready, and does not hold a Job up", () => {
    const sidecar = containerOf(mustInject(podOf({ restartPolicy: "Never" })).pod, "cardea-proxy");
    expect(sidecar["restartPolicy"]).toBe("Always");
    expect(sidecar["startupProbe"]).toMatchObject({ httpGet: { path: "/healthz/ready", port: 15_021 } });
  });

  test("a plain one comes with a warning for init containers, which would find no network", () => {
    const pod = podOf({
      initContainers: [
        { name: "migrate", image: "m" },
        { name: "seed", image: "s" },
      ],
    });
    const { warnings, pod: injected } = mustInject(pod, { sidecar: "container" });
    expect(warnings).toEqual([expect.stringMatching(/init containers run before the sidecar.*: migrate, seed$/)]);
    expect(mustInject(injected, { sidecar: "container" }).warnings).toEqual(warnings);
    expect(mustInject(pod).warnings).toEqual([]);
    expect(mustInject(podOf(), { sidecar: "container" }).warnings).toEqual([]);
  });

  test("a plain one holds the next container back by its hook, and outlives the app by a little", () => {
    const { pod } = mustInject(podOf(), { sidecar: "container" });
    expect(namesOf(pod, "containers")).toEqual(["cardea-proxy", "web"]);
    const sidecar = containerOf(pod, "cardea-proxy");
    expect(sidecar["restartPolicy"]).toBeUndefined();
    expect(JSON.stringify(sidecar["lifecycle"])).toContain('"ready","--wait","600s"');
    expect(variableOf(sidecar, "CARDEA_DRAIN_DELAY_SECONDS")).toBe("5");
    expect(pod["metadata"]).toMatchObject({ annotations: { "kubectl.kubernetes.io/default-container": "web" } });
  });

  test("Prometheus finds it by annotations, which go with it", () => {
    const { pod } = mustInject(podOf());
    expect(pod["metadata"]).toMatchObject({
      annotations: {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "15020",
        "prometheus.io/path": "/stats/prometheus",
      },
    });
    expect(mustInject(pod).pod).toEqual(pod);
    expect(JSON.stringify(removeInjection(pod).pod)).not.toContain("prometheus.io");
  });

  test.each([
    ["its own port", { "prometheus.io/scrape": "true", "prometheus.io/port": "9090" }],
    ["a path alone", { "prometheus.io/path": "/own" }],
    ["that it is not to be scraped", { "prometheus.io/scrape": "false" }],
  ])("a pod that says %s keeps what it says, and gets nothing besides", (_, annotations) => {
    const { pod } = mustInject(podOf({}, { annotations }));
    expect(scrapeOf(pod)).toEqual(annotations);
    expect(scrapeOf(mustInject(pod).pod)).toEqual(annotations);
    expect(scrapeOf(removeInjection(pod).pod)).toEqual(annotations);
  });

  test("the drain fits into the pod's grace period", () => {
    expect(drainOf(30, "native")).toEqual([undefined, "5"]);
    expect(drainOf(3, "native")).toEqual([undefined, "2"]);
    expect(drainOf(0, "native")).toEqual([undefined, "0"]);
    expect(drainOf(8, "container")).toEqual(["5", "2"]);
    expect(drainOf(3, "container")).toEqual(["2", "0"]);
  });

  test.each([
    ["1.28", "container"],
    ["v1.29.0", "native"],
    ["v1.32.5+k3s1", "native"],
  ])("Kubernetes %s: %s", (version, mode) => {
    expect(sidecarModeOf(version)).toBe(mode);
  });

  test.each(["", "2.0", "1.x", "latest", "1.29; x"])("the version %j is refused", (version) => {
    expect(() => sidecarModeOf(version)).toThrow("expected a version like 1.31");
  });
});

describe("what the containers may do", () => {
  test("all but the redirect pass Pod Security's restricted", () => {
    for (const sidecar of ["native", "container"] as const) {
      const security = containerOf(mustInject(podOf(), { sidecar }).pod, "cardea-proxy")["securityContext"];
      expect(security).toEqual({
        allowPrivilegeEscalation: false,
        capabilities: { drop: ["ALL"] },
        privileged: false,
        readOnlyRootFilesystem: true,
        runAsGroup: 1_337,
        runAsNonRoot: true,
        runAsUser: 1_337,
        seccompProfile: { type: "RuntimeDefault" },
      });
    }
  });

  test("the redirect has what its rules need, and no more", () => {
    const { securityContext, env, volumeMounts } = containerOf(mustInject(podOf()).pod, "cardea-redirect");
    expect(securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
      readOnlyRootFilesystem: true,
    });
    expect(env).toEqual([{ name: "XTABLES_LOCKFILE", value: "/dev/shm/cardea-xtables.lock" }]);
    expect(volumeMounts).toHaveLength(1);
  });

  test("neither is given the app's API token", () => {
    const { pod } = mustInject(podOf());
    for (const name of ["cardea-proxy", "cardea-redirect"]) {
      expect(containerOf(pod, name)["volumeMounts"]).toContainEqual({
        name: "cardea-no-api-token",
        mountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
        readOnly: true,
      });
    }
  });

  test("the token is for our audience alone, and the app does not see it", () => {
    const { pod } = mustInject(podOf());
    expect(JSON.stringify(pod)).toContain('{"audience":"cardea","expirationSeconds":3600,"path":"cardea-token"}');
    expect(containerOf(pod, "web")).toEqual(containerOf(podOf(), "web"));
  });

  test("the identity socket is there for who asks, and a variable that the app has is kept", () => {
    const own = { name: "SPIFFE_ENDPOINT_SOCKET", value: "unix:///own" };
    const containers = [{ name: "a" }, { name: "b", env: [own] }];
    const pod = podOf({ containers }, { annotations: { "cardea.dev/workload-api": "true" } });
    const injected = mustInject(pod).pod;
    expect(variableOf(containerOf(injected, "a"), "SPIFFE_ENDPOINT_SOCKET")).toBe("unix:///run/cardea/workload.sock");
    expect(containerOf(injected, "b")["env"]).toEqual([own]);
    expect(withoutEmpty(removeInjection(injected).pod)).toEqual(withoutEmpty(pod));
  });
});

/** What a pod says to Prometheus. */
function scrapeOf({ metadata }: JsonObject): JsonObject {
  const { annotations } = metadata as { readonly annotations: JsonObject };
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => name.startsWith("prometheus.io/")));
}

function probed(probes: object, annotations: object = {}): JsonObject {
  const containers = [{ name: "web", ports: [{ name: "http", containerPort: 8080 }], ...probes }];
  return podOf({ containers }, { annotations });
}

function keptProbesOf(pod: JsonValue): ReturnType<typeof parseAppProbes> {
  const kept = variableOf(containerOf(pod, "cardea-proxy"), "CARDEA_PROBES");
  return parseAppProbes(typeof kept === "string" ? kept : "", "env");
}

describe("probes", () => {
  test.each<[string, object, object]>([
    [
      "HTTP by a port's name",
      { httpGet: { path: "/up?x=1", port: "http", httpHeaders: [{ name: "X", value: "1" }] } },
      { kind: "http", scheme: "HTTP", port: 8080, target: "/up?x=1", headers: [["X", "1"]] },
    ],
    [
      "HTTP without a path",
      { httpGet: { port: 8080 } },
      { kind: "http", scheme: "HTTP", port: 8080, target: "/", headers: [] },
    ],
    [
      "HTTPS",
      { httpGet: { path: "up", port: 8443, scheme: "HTTPS" } },
      { kind: "http", scheme: "HTTPS", port: 8443, target: "/up", headers: [] },
    ],
    ["TCP", { tcpSocket: { port: "8080" } }, { kind: "tcp", port: 8080 }],
    ["gRPC", { grpc: { port: 9000, service: "shop" } }, { kind: "grpc", port: 9000, service: "shop" }],
  ])("%s is made by the sidecar, with the rest of the probe as it was", (_, handler, check) => {
    const pod = probed({
      livenessProbe: { ...handler, periodSeconds: 7, timeoutSeconds: 2, terminationGracePeriodSeconds: 9 },
    });
    const injected = mustInject(pod).pod;
    expect(containerOf(injected, "web")["livenessProbe"]).toEqual({
      httpGet: { path: "/app-health/web/livez", port: 15_020, scheme: "HTTP" },
      periodSeconds: 7,
      timeoutSeconds: 2,
      terminationGracePeriodSeconds: 9,
    });
    expect(keptProbesOf(injected)).toEqual([{ path: "/app-health/web/livez", timeoutMs: 2_000, check }]);
  });

  test("each of a container's, and those of other native sidecars", () => {
    const tcp = { tcpSocket: { port: 1 } };
    const all = { livenessProbe: tcp, readinessProbe: tcp, startupProbe: tcp };
    const pod = podOf({
      initContainers: [{ name: "log", restartPolicy: "Always", ...all }],
      containers: [{ name: "web", ...all }],
    });
    expect(keptProbesOf(mustInject(pod).pod).map(({ path }) => path)).toEqual(
      ["log", "web"].flatMap((name) => ["livez", "readyz", "startupz"].map((word) => `/app-health/${name}/${word}`)),
    );
  });

  test.each<[string, object, object?]>([
    ["a command", { exec: { command: ["x"] } }],
    ["another host", { httpGet: { host: "10.1.2.3", port: 8080 } }],
    ["a port's name that there is not", { httpGet: { port: "web" } }],
    ["an excluded port", { tcpSocket: { port: 8080 } }, { "cardea.dev/exclude-inbound-ports": "8000-8100" }],
    ["a port that is not captured", { tcpSocket: { port: 8080 } }, { "cardea.dev/inbound-ports": "9090" }],
    ["who wants it so", { tcpSocket: { port: 8080 } }, { "sidecar.istio.io/rewriteAppHTTPProbers": "false" }],
    ["two handlers, which the API server refuses", { exec: {}, tcpSocket: { port: 8080 } }],
  ])("left as it is: %s", (_, handler, annotations = {}) => {
    const pod = probed({ readinessProbe: handler }, annotations);
    expect(containerOf(mustInject(pod).pod, "web")).toEqual(containerOf(pod, "web"));
  });

  test("one that somebody changed after injection stays changed", () => {
    const injected = mustInject(probed({ livenessProbe: { tcpSocket: { port: 8080 } } })).pod;
    const changed = applyJsonPatch(injected, [
      { op: "replace", path: "/spec/containers/0/livenessProbe", value: { exec: { command: ["ok"] } } },
    ]);
    expect(containerOf(mustInject(changed).pod, "web")["livenessProbe"]).toEqual({ exec: { command: ["ok"] } });
  });
});

describe("once more", () => {
  test("a container that another webhook has added is taken in", () => {
    const once = mustInject(podOf()).pod;
    const log = { name: "log", livenessProbe: { httpGet: { port: 9 } }, ports: [{ containerPort: 9 }] };
    const more = applyJsonPatch(once, [{ op: "add", path: "/spec/containers/1", value: log }]);
    const again = mustInject(more);
    expect(again.patch.length).toBeGreaterThan(0);
    expect(containerOf(again.pod, "log")["livenessProbe"]).toMatchObject({ httpGet: { port: 15_020 } });
    expect(variableOf(containerOf(again.pod, "cardea-proxy"), "CARDEA_PORTS")).toBe("8080/http,9");
  });

  test("what a LimitRange has filled in stays", () => {
    const once = mustInject(podOf()).pod;
    const at = "/spec/initContainers/1/resources/limits/ephemeral-storage";
    const more = applyJsonPatch(once, [{ op: "add", path: at, value: "1Gi" }]);
    expect(mustInject(more).patch).toEqual([]);
  });

  test("somebody's changes to our containers do not stay", () => {
    const once = mustInject(podOf()).pod;
    const evil = [
      { op: "add", path: "/spec/initContainers/1/command", value: ["sh"] },
      { op: "add", path: "/spec/initContainers/1/env/0", value: { name: "NODE_OPTIONS", value: "--inspect" } },
      { op: "replace", path: "/spec/initContainers/1/image", value: "evil" },
      { op: "replace", path: "/spec/initContainers/0/args", value: ["sleep"] },
    ];
    expect(mustInject(applyJsonPatch(once, evil)).pod).toEqual(once);
  });

  test("a status that is not from us gains nothing", () => {
    const forged = podOf(
      {
        containers: [{ name: "web" }, { name: "cardea-proxy", image: "evil" }],
        volumes: [{ name: "cardea-token", hostPath: {} }],
      },
      { annotations: { "cardea.dev/status": "{" } },
    );
    expect(mustInject(forged).pod).toEqual(mustInject(podOf({ containers: [{ name: "web" }] })).pod);
  });

  test("settings that changed take effect", () => {
    const once = mustInject(podOf()).pod;
    expect(mustInject(once, { image: "cardea:2" }).patch).toEqual(
      [0, 1].map((index) => ({ op: "replace", path: `/spec/initContainers/${index}/image`, value: "cardea:2" })),
    );
    expect(mustInject(once, { sidecar: "container" }).pod).toEqual(mustInject(podOf(), { sidecar: "container" }).pod);
  });
});

const text = fc.string({ maxLength: 4 });
const loose = fc.dictionary(text, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 });
const handler = fc.oneof(
  fc.record({ tcpSocket: fc.record({ port: fc.constantFrom(8080, 99, "http", "none") }) }),
  fc.record({ httpGet: fc.record({ port: fc.constantFrom(8080, "http"), path: text, extra: fc.jsonValue() }) }),
  fc.record({ exec: fc.record({ command: fc.array(text) }) }),
  fc.record({ grpc: fc.record({ port: fc.nat(70_000) }) }),
  loose,
);
const container = fc.record(
  {
    livenessProbe: handler,
    readinessProbe: handler,
    ports: fc.array(fc.record({ containerPort: fc.nat(70_000), name: text })),
    env: fc.array(loose),
    unknown: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
const named = (prefix: string, minLength: number) =>
  fc
    .array(container, { maxLength: 3, minLength })
    .map((all) => all.map((each, i) => ({ name: `${prefix}${i}`, ...each })));
const anyPod = fc.record({
  metadata: fc.record({
    labels: fc.dictionary(text, text),
    annotations: fc.dictionary(text, text),
    other: fc.jsonValue(),
  }),
  spec: fc.record({
    containers: named("c", 1),
    initContainers: named("i", 0),
    volumes: fc.array(loose, { maxLength: 2 }).map((all) => all.map((each, i) => ({ ...each, name: `v${i}` }))),
    affinity: loose,
    terminationGracePeriodSeconds: fc.constantFrom(0, 5, 30),
  }),
  status: loose,
});

test("of any pod: nothing of it is lost or changed, the patch says the same, twice is as once", () => {
  let injected = 0;
  fc.assert(
    fc.property(anyPod, fc.constantFrom("native" as const, "container" as const), (given, sidecar) => {
      const pod = JSON.parse(JSON.stringify(given)) as JsonValue;
      const once = inject(pod, { sidecar });
      if (once.kind !== "inject") return;
      injected += 1;
      expect(applyJsonPatch(pod, once.patch)).toEqual(once.pod);
      expect(withoutEmpty(removeInjection(once.pod).pod)).toEqual(withoutEmpty(pod));
      expect(mustInject(once.pod, { sidecar }).patch).toEqual([]);
    }),
    { numRuns: 200 },
  );
  expect(injected).toBeGreaterThan(150);
});

test("of anything at all: an answer, and no exception", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.jsonValue(), (spec, metadata) => {
      for (const pod of [spec, { spec, metadata }, { spec: { containers: spec, volumes: metadata } }]) {
        expect(["inject", "leave", "refuse"]).toContain(inject(pod as JsonValue).kind);
      }
    }),
    { numRuns: 200 },
  );
});

test("ten megabytes are a pod like any other", () => {
  const big = podOf({ containers: [{ name: "web", env: [{ name: "X", value: "x".repeat(10_000_000) }] }] });
  const { patch } = mustInject(big);
  expect(JSON.stringify(patch).length).toBeLessThan(10_000);
});
