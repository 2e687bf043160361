import { describe, expect, test } from "vitest";
import { formatFinding, formatPath } from "../../../../src/control/bypass/bypass-finding.ts";
import { BYPASS_TABLE } from "../../../../src/control/bypass/bypass-table.ts";
import { findBypasses } from "../../../../src/control/bypass/find-bypasses.ts";
import { injectPod } from "../../../../src/control/inject/inject-pod.ts";
import { DEFAULT_INJECT_SETTINGS as SETTINGS } from "../../../../src/control/inject/settings.ts";
import type { JsonObject, JsonValue } from "../../../../src/core/json-value.ts";
import { MESHED, podOf } from "../../../support/pods.ts";

type Options = Partial<Parameters<typeof findBypasses>[1]>;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const SPEC = podOf()["spec"] as JsonObject;

const seen = new Set<string>();

/** Code and field of each finding. */
function found(pod: JsonValue, options: Options = {}): readonly string[] {
  const all = { namespace: MESHED, settings: SETTINGS, whenUnsaid: false, stage: "template" as const, ...options };
  const findings = findBypasses(pod, all);
  for (const { code } of findings) seen.add(code);
  return findings.map(({ code, path }) => `${code} ${formatPath(path)}`);
}

/** Of a container with this security context, in a pod that says nothing itself. */
function foundAs(securityContext: JsonObject): readonly string[] {
  return found({ ...podOf(), spec: { containers: [{ name: "app", securityContext }] } });
}

function injected(pod: JsonObject = podOf(), settings = SETTINGS): JsonObject {
  const injection = injectPod(pod, MESHED, settings);
  return injection.kind === "inject" ? injection.pod : expect.unreachable();
}

/** A copy that a test may write into. */
// oxlint-disable-next-line typescript/no-explicit-any
function draft(pod: JsonObject): any {
  return structuredClone(pod);
}

const CONTEXT = "spec.containers[0].securityContext";

describe("a pod with a way around the mesh is found", () => {
  test.each<[string, JsonObject, string]>([
    ["node's network", podOf({ spec: { ...SPEC, hostNetwork: true } }), "host-network spec.hostNetwork"],
    ["node's processes", podOf({ spec: { ...SPEC, hostPID: true } }), "host-pid spec.hostPID"],
    ["node's shared memory", podOf({ spec: { ...SPEC, hostIPC: true } }), "host-ipc spec.hostIPC"],
    [
      "shared processes",
      podOf({ spec: { ...SPEC, shareProcessNamespace: true } }),
      "shared-processes spec.shareProcessNamespace",
    ],
    [
      "port of the node",
      podOf({ container: { ports: [{ containerPort: 8080, hostPort: 80 }] } }),
      "host-port spec.containers[0].ports[0].hostPort",
    ],
    [
      "UDP",
      podOf({ container: { ports: [{ containerPort: 8080 }, { containerPort: 53, protocol: "UDP" }] } }),
      "datagram-port spec.containers[0].ports[1]",
    ],
    [
      "SCTP",
      podOf({ container: { ports: [{ containerPort: 9, protocol: "SCTP" }] } }),
      "datagram-port spec.containers[0].ports[0]",
    ],
    ["privileged", podOf({ container: { securityContext: { privileged: true } } }), `privileged ${CONTEXT}.privileged`],
    ["NET_ADMIN", podOf({ container: withCapability("NET_ADMIN") }), `capability ${CONTEXT}.capabilities.add[0]`],
    [
      "net_admin, as some runtimes take it",
      podOf({ container: withCapability("net_admin") }),
      `capability ${CONTEXT}.capabilities.add[0]`,
    ],
    [
      "CAP_NET_ADMIN",
      podOf({ container: withCapability("CAP_NET_ADMIN") }),
      `capability ${CONTEXT}.capabilities.add[0]`,
    ],
    ["ALL", podOf({ container: withCapability("ALL") }), `capability ${CONTEXT}.capabilities.add[0]`],
    ["NET_RAW", podOf({ container: withCapability("NET_RAW") }), `capability ${CONTEXT}.capabilities.add[0]`],
    ["SYS_ADMIN", podOf({ container: withCapability("SYS_ADMIN") }), `capability ${CONTEXT}.capabilities.add[0]`],
    ["SYS_PTRACE", podOf({ container: withCapability("SYS_PTRACE") }), `capability ${CONTEXT}.capabilities.add[0]`],
    ["BPF", podOf({ container: withCapability("BPF") }), `capability ${CONTEXT}.capabilities.add[0]`],
    [
      "the sidecar's group",
      podOf({ container: { securityContext: { runAsGroup: 1337 } } }),
      `runs-as-proxy ${CONTEXT}.runAsGroup`,
    ],
    [
      "files of the sidecar's group",
      podOf({ spec: { ...SPEC, securityContext: { runAsUser: 1, fsGroup: 1337 } } }),
      "shares-proxy-group spec.securityContext.fsGroup",
    ],
    [
      "a supplemental group",
      podOf({ spec: { ...SPEC, securityContext: { runAsUser: 1, supplementalGroups: [5, 1337] } } }),
      "shares-proxy-group spec.securityContext.supplementalGroups[1]",
    ],
    [
      "the runtime's directory",
      podWithHostPath("/run/containerd/containerd.sock"),
      "host-path spec.volumes[0].hostPath.path",
    ],
    ["the same by its old name", podWithHostPath("/var/run/docker.sock"), "host-path spec.volumes[0].hostPath.path"],
    ["a directory above", podWithHostPath("/var/"), "host-path spec.volumes[0].hostPath.path"],
    ["all of the node", podWithHostPath("/"), "host-path spec.volumes[0].hostPath.path"],
    ["all of the node, written otherwise", podWithHostPath("//./"), "host-path spec.volumes[0].hostPath.path"],
    [
      "a token of our audience",
      podWithToken("cardea"),
      "mesh-token spec.volumes[0].projected.sources[0].serviceAccountToken.audience",
    ],
    [
      "ports that are left out",
      annotated("cardea.dev/exclude-inbound-ports", "9090"),
      'excluded-inbound metadata.annotations["cardea.dev/exclude-inbound-ports"]',
    ],
    [
      "the same in Istio's words",
      annotated("traffic.sidecar.istio.io/excludeInboundPorts", "9090"),
      'excluded-inbound metadata.annotations["traffic.sidecar.istio.io/excludeInboundPorts"]',
    ],
    [
      "the same in Linkerd's words",
      annotated("config.linkerd.io/skip-inbound-ports", "9090"),
      'excluded-inbound metadata.annotations["config.linkerd.io/skip-inbound-ports"]',
    ],
    [
      "ports that are not taken in",
      annotated("cardea.dev/inbound-ports", "8080"),
      'excluded-inbound metadata.annotations["cardea.dev/inbound-ports"]',
    ],
    [
      "destinations that are left out",
      annotated("cardea.dev/exclude-outbound-ports", "3306"),
      'excluded-outbound metadata.annotations["cardea.dev/exclude-outbound-ports"]',
    ],
    [
      "ranges that are left out",
      annotated("cardea.dev/exclude-outbound-cidrs", "10.0.0.0/8"),
      'excluded-outbound metadata.annotations["cardea.dev/exclude-outbound-cidrs"]',
    ],
    [
      "all but some ranges",
      annotated("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0/8"),
      'excluded-outbound metadata.annotations["traffic.sidecar.istio.io/includeOutboundIPRanges"]',
    ],
    ["an opt-out", podOf({ metadata: { labels: { "cardea.dev/inject": "disabled" } } }), "opted-out metadata"],
    ["what injection would refuse", podOf({ container: { ports: [{ containerPort: 15_001 }] } }), "not-injectable "],
    ["a label that cannot be read", podOf({ metadata: { labels: { "cardea.dev/inject": "yes" } } }), "not-injectable "],
  ])("%s", (_name, pod, expected) => {
    expect(found(pod)).toContain(expected);
  });

  test("the sidecar's user, of a container and of the pod; injection refuses it as well", () => {
    const pod = podOf({ container: { securityContext: { runAsUser: 1337 } } });
    expect(found(pod)).toEqual(expect.arrayContaining([`runs-as-proxy ${CONTEXT}.runAsUser`, "not-injectable "]));
  });

  test("root with what runtimes give it, unless it is dropped", () => {
    expect(foundAs({})).toEqual(["root-capabilities spec.containers[0]"]);
    expect(foundAs({ runAsUser: 0 })).toEqual(["root-capabilities spec.containers[0]"]);
    expect(foundAs({ capabilities: { drop: ["NET_RAW"] } })).toEqual(["root-capabilities spec.containers[0]"]);
    expect(foundAs({ capabilities: { drop: ["ALL"], add: ["SETUID"] } })).toEqual([
      "root-capabilities spec.containers[0]",
    ]);
    expect(foundAs({ capabilities: { drop: ["ALL"] } })).toEqual([]);
    expect(foundAs({ capabilities: { drop: ["cap_setuid", "SETGID", "NET_RAW"] } })).toEqual([]);
    expect(foundAs({ runAsNonRoot: true })).toEqual([]);
    expect(foundAs({ runAsUser: 7 })).toEqual([]);
  });

  test("in init containers and ephemeral containers alike", () => {
    const bad = { name: "x", securityContext: { privileged: true } };
    const spec = { ...SPEC, initContainers: [bad], ephemeralContainers: [{ ...bad, name: "y" }] };
    expect(found(podOf({ spec }))).toEqual([
      "privileged spec.initContainers[0].securityContext.privileged",
      "privileged spec.ephemeralContainers[0].securityContext.privileged",
      "ephemeral-container spec.ephemeralContainers[0]",
    ]);
  });
});

describe("nothing is found", () => {
  test.each<[string, JsonObject]>([
    ["in a pod that does as it should", podOf()],
    ["in a token for somebody else", podWithToken("vault")],
    ["in a directory of the node that guards nothing", podWithHostPath("/var/log")],
    ["in a name that only begins alike", podWithHostPath("/run/containerd-metrics")],
    ["in annotations that leave nothing out", annotated("cardea.dev/exclude-inbound-ports", " ")],
    ["in annotations that take all in", annotated("cardea.dev/inbound-ports", "*")],
    ["in a harmless capability", podOf({ container: withCapability("NET_BIND_SERVICE") })],
    ["in another user", podOf({ container: { securityContext: { runAsUser: 13_370 } } })],
  ])("%s", (_name, pod) => {
    expect(found(pod)).toEqual([]);
  });

  test("outside of the mesh", () => {
    const namespace = { name: "other", labels: {}, annotations: {} };
    const pod = podOf({ container: { securityContext: { privileged: true } } });
    expect(found(pod, { namespace })).toEqual([]);
    expect(found(pod, { namespace, whenUnsaid: true })).not.toEqual([]);
    expect(found(pod, { namespace: { ...MESHED, name: "kube-system" } })).toEqual([]);
  });

  test.each(["native", "container"] as const)("in a pod as injection makes it (%s)", (sidecar) => {
    const settings = { ...SETTINGS, sidecar };
    expect(found(injected(podOf(), settings), { stage: "admitted", settings })).toEqual([]);
  });

  test("in what platforms add to every container", () => {
    const pod = draft(injected());
    for (const each of pod.spec.initContainers) {
      each.env = [...(each.env ?? []), { name: "AWS_REGION", value: "eu-central-1" }];
      const mountPath = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
      each.volumeMounts.push({ name: "aws-iam-token", mountPath, readOnly: true });
      each.resources = { requests: { cpu: "1" } };
    }
    expect(found(pod, { stage: "admitted" })).toEqual([]);
  });
});

describe("a sidecar that is gone or was changed after injection is found", () => {
  test("gone whole", () => {
    expect(found(podOf(), { stage: "admitted" })).toEqual([
      "not-injected spec.initContainers",
      "not-injected spec.initContainers",
      expect.stringMatching(/^sidecar-changed spec\.volumes/),
      expect.stringMatching(/^sidecar-changed spec\.volumes/),
      expect.stringMatching(/^sidecar-changed spec\.volumes/),
      expect.stringMatching(/^sidecar-changed spec\.volumes/),
      'sidecar-changed metadata.annotations["cardea.dev/status"]',
    ]);
  });

  // oxlint-disable-next-line typescript/no-explicit-any
  test.each<[string, (proxy: any, redirect: any, pod: any) => void, string]>([
    ["another image", (proxy) => void (proxy.image = "evil"), "initContainers[1].image"],
    ["another image of the redirect", (_, redirect) => void (redirect.image = "evil"), "initContainers[0].image"],
    ["another command", (proxy) => void (proxy.command = ["sh"]), "initContainers[1].command"],
    [
      "other arguments",
      (_, redirect) => void redirect.args.push("--exclude-inbound-ports=80"),
      "initContainers[0].args",
    ],
    ["more rights", (proxy) => void (proxy.securityContext.privileged = true), "initContainers[1].securityContext"],
    [
      "a hook",
      (proxy) => void (proxy.lifecycle = { postStart: { exec: { command: ["x"] } } }),
      "initContainers[1].lifecycle",
    ],
    [
      "variables from a ConfigMap",
      (proxy) => void (proxy.envFrom = [{ configMapRef: { name: "x" } }]),
      "initContainers[1].envFrom",
    ],
    [
      "NODE_OPTIONS",
      (proxy) => void proxy.env.push({ name: "NODE_OPTIONS", value: "--require=/x.js" }),
      "initContainers[1].env[",
    ],
    ["LD_PRELOAD", (proxy) => void proxy.env.push({ name: "LD_PRELOAD", value: "/x.so" }), "initContainers[1].env["],
    ["SSLKEYLOGFILE", (proxy) => void proxy.env.push({ name: "SSLKEYLOGFILE", value: "/x" }), "initContainers[1].env["],
    [
      "a variable of ours, once more",
      (proxy) => void proxy.env.push({ name: "CARDEA_CONTROL_ADDRESS", value: "evil:1" }),
      "initContainers[1].env[",
    ],
    ["a variable of ours, changed", (proxy) => void (proxy.env[4].value = "evil"), "initContainers[1].env[4]"],
    ["a variable of ours, taken out", (proxy) => void proxy.env.splice(4, 1), "initContainers[1].env"],
    [
      "files over the program",
      (proxy) => void proxy.volumeMounts.push({ name: "x", mountPath: "/cardea" }),
      "initContainers[1].volumeMounts[4]",
    ],
    [
      "files beside the token",
      (proxy) => void proxy.volumeMounts.push({ name: "x", mountPath: "/var/run/secrets/tokens/x", readOnly: true }),
      "initContainers[1].volumeMounts[4]",
    ],
    ["other roots", (proxy) => void (proxy.volumeMounts[1].name = "x"), "initContainers[1].volumeMounts"],
    ["another ConfigMap of roots", (_, __, pod) => void (pod.spec.volumes[1].configMap.name = "evil"), "volumes[1]"],
    ["a native sidecar that ends", (proxy) => void delete proxy.restartPolicy, "initContainers[1].restartPolicy"],
  ])("%s", (_name, change, field) => {
    const pod = draft(injected());
    change(pod.spec.initContainers[1], pod.spec.initContainers[0], pod);
    const all = found(pod, { stage: "admitted" });
    expect(all.some((each) => each.startsWith(`sidecar-changed spec.${field}`))).toBe(true);
  });

  test("an init container in front of it", () => {
    const pod = draft(injected());
    pod.spec.initContainers.unshift({ name: "first", image: "x" });
    expect(found(pod, { stage: "admitted" })).toContain("before-sidecar spec.initContainers[0]");
  });

  test("its token in a container of the app", () => {
    const pod = draft(injected());
    pod.spec.containers[0].volumeMounts = [{ name: "cardea-token", mountPath: "/t" }];
    expect(found(pod, { stage: "admitted" })).toContain("sidecar-shared spec.containers[0].volumeMounts[0]");
  });

  test("a debugger in its processes", () => {
    const pod = draft(injected());
    pod.spec.ephemeralContainers = [{ name: "d", image: "x", targetContainerName: "cardea-proxy" }];
    expect(found(pod, { stage: "admitted" })).toContain(
      "debugs-sidecar spec.ephemeralContainers[0].targetContainerName",
    );
  });
});

describe("garbage is no fault of ours", () => {
  test.each<[string, JsonValue]>([
    ["null", null],
    ["a text", "pod"],
    ["an empty object", {}],
    ["a spec that is a list", { metadata: {}, spec: [] }],
    ["containers that are a map", { spec: { containers: { a: 1 } } }],
    ["a container that is null", { spec: { containers: [null, 3, "x", []] } }],
    ["annotations that are numbers", { metadata: { annotations: { a: 1 } }, spec: { containers: [{ name: "a" }] } }],
    ["a name that is an object", { spec: { containers: [{ name: {}, ports: [null], env: 3, volumeMounts: "x" }] } }],
    ["rights that are a text", { spec: { containers: [{ name: "a", securityContext: "root" }], securityContext: 7 } }],
    ["volumes that are numbers", { spec: { containers: [{ name: "a" }], volumes: [1, null, { projected: [] }] } }],
  ])("%s", (_name, pod) => {
    for (const stage of ["template", "admitted"] as const) expect(() => found(pod, { stage })).not.toThrow();
  });
});

test("every finding of the table says what it lets happen and how to mend it", () => {
  for (const [code, { why, mend }] of Object.entries(BYPASS_TABLE)) {
    expect(why.length, code).toBeGreaterThan(20);
    expect(mend.length, code).toBeGreaterThan(10);
    expect(`${why} ${mend}`, code).not.toMatch(/\.$/);
  }
  const [first] = findBypasses(podOf({ spec: { hostPID: true } }), {
    namespace: MESHED,
    settings: SETTINGS,
    whenUnsaid: false,
    stage: "template",
  });
  expect(formatFinding(first!)).toMatch(
    /^host-pid: spec\.hostPID: true: the pod sees the node's processes: .*; take hostPID out$/,
  );
});

function withCapability(name: string): JsonObject {
  return { securityContext: { capabilities: { drop: ["ALL"], add: [name] } } };
}

function podWithHostPath(path: string): JsonObject {
  return podOf({ spec: { ...SPEC, volumes: [{ name: "v", hostPath: { path } }] } });
}

function podWithToken(audience: string): JsonObject {
  const sources = [{ serviceAccountToken: { audience, path: "t" } }];
  return podOf({ spec: { ...SPEC, volumes: [{ name: "v", projected: { sources } }] } });
}

function annotated(key: string, value: string): JsonObject {
  return podOf({ metadata: { annotations: { [key]: value } } });
}

test("each code of the table was found above", () => {
  expect([...seen].toSorted()).toEqual(Object.keys(BYPASS_TABLE).toSorted());
});
