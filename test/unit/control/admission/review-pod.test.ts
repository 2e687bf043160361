import { describe, expect, test } from "vitest";
import type { BypassMode } from "../../../../src/control/bypass/bypass-mode.ts";
import type { PodWorld } from "../../../../src/control/admission/pod-world.ts";
import { readReview } from "../../../../src/control/admission/review.ts";
import { reviewInjection } from "../../../../src/control/admission/review-injection.ts";
import { reviewPod } from "../../../../src/control/admission/review-pod.ts";
import type { Verdict } from "../../../../src/control/admission/verdict.ts";
import { injectPod } from "../../../../src/control/inject/inject-pod.ts";
import type { NamespaceFacts } from "../../../../src/control/inject/injection.ts";
import { DEFAULT_INJECT_SETTINGS as SETTINGS } from "../../../../src/control/inject/settings.ts";
import type { JsonObject } from "../../../../src/core/json-value.ts";
import { admissionReview, bytesOf } from "../../../support/admission-review.ts";
import { MESHED, podOf } from "../../../support/pods.ts";

function world(namespace: NamespaceFacts | null = MESHED, mode: BypassMode = "audit"): PodWorld {
  return { settings: () => SETTINGS, bypassMode: () => mode, namespaceOf: async () => namespace };
}

type Ask = typeof reviewPod;

async function ask(review: Ask, request: Record<string, unknown>, of: PodWorld = world()): Promise<Verdict> {
  const read = readReview(bytesOf(admissionReview(request)));
  return read.is === "request" ? await review(read.request, of) : expect.unreachable();
}

function injected(pod: JsonObject = podOf()): JsonObject {
  const injection = injectPod(pod, MESHED, SETTINGS);
  return injection.kind === "inject" ? injection.pod : expect.unreachable();
}

/** A copy that a test may write into. */
// oxlint-disable-next-line typescript/no-explicit-any
function draft(pod: JsonObject): any {
  return structuredClone(pod);
}

const ENFORCED = { ...MESHED, labels: { ...MESHED.labels, "cardea.dev/bypass-checks": "enforce" } };
const privileged = podOf({ container: { securityContext: { privileged: true } } });

describe("/inject", () => {
  test("patches a pod that is to be created, in a dry run alike", async () => {
    const verdict = await ask(reviewInjection, { object: podOf() });
    expect(verdict).toMatchObject({ allowed: true, audit: { injection: "injected" } });
    expect(verdict).toHaveProperty("patch.length", expect.any(Number));
    expect(await ask(reviewInjection, { object: podOf(), dryRun: true })).toEqual(verdict);
  });

  test("has nothing to patch the second time", async () => {
    expect(await ask(reviewInjection, { object: injected() })).toMatchObject({ allowed: true, patch: [] });
  });

  test.each<[string, JsonObject, NamespaceFacts]>([
    ["a pod that opts out", podOf({ metadata: { labels: { "cardea.dev/inject": "disabled" } } }), MESHED],
    ["a pod of the node's network", podOf({ spec: { hostNetwork: true, containers: [{ name: "a" }] } }), MESHED],
    ["a pod of kube-system", podOf(), { ...MESHED, name: "kube-system" }],
    ["a pod of another namespace", podOf(), { ...MESHED, labels: {} }],
  ])("leaves %s, and says why in the audit log", async (_name, object, namespace) => {
    const verdict = await ask(reviewInjection, { object }, world(namespace));
    expect(verdict).toMatchObject({ allowed: true, audit: { injection: expect.stringMatching(/^left as it is: ./) } });
    expect(verdict).not.toHaveProperty("patch");
  });

  test.each<[string, Record<string, unknown>, number]>([
    ["a pod that injection refuses", { object: podOf({ container: { ports: [{ containerPort: 15_006 }] } }) }, 422],
    [
      "an annotation that is misspelt",
      { object: podOf({ metadata: { annotations: { "cardea.dev/log-levl": "info" } } }) },
      422,
    ],
    ["a pod without containers", { object: { metadata: {}, spec: {} } }, 422],
    ["a pod whose spec is a text", { object: { metadata: {}, spec: "x" } }, 422],
    ["an update", { operation: "UPDATE", object: podOf(), oldObject: podOf() }, 400],
    ["another kind", { kind: { group: "apps", version: "v1", kind: "Deployment" } }, 400],
    ["a Pod of another group", { kind: { group: "evil.dev", version: "v1", kind: "Pod" } }, 400],
    ["a subresource", { subResource: "eviction" }, 400],
  ])("refuses %s", async (_name, request, code) => {
    const verdict = await ask(reviewInjection, request);
    expect(verdict).toMatchObject({ allowed: false, code });
    expect(verdict).toHaveProperty("message", expect.stringMatching(/.{20}/));
  });

  test("refuses a pod of a namespace that is not known: uninjected it must not run", async () => {
    expect(await ask(reviewInjection, { object: podOf() }, world(null))).toMatchObject({ allowed: false, code: 503 });
  });
});

describe("/validate/pods in enforce mode refuses", () => {
  test.each<[string, Record<string, unknown>, RegExp]>([
    ["a pod without its sidecar", { object: podOf() }, /not-injected/],
    [
      "a way around the mesh, by its field and how to mend it",
      { object: injected(privileged) },
      /spec\.containers\[0\]\.securityContext\.privileged: .*; take privileged out/,
    ],
    [
      "a sidecar of another image",
      { object: changed((pod) => void (pod.spec.initContainers[1].image = "evil")) },
      /sidecar-changed: spec\.initContainers\[1\]\.image/,
    ],
    ["an opt-out", { object: podOf({ metadata: { labels: { "cardea.dev/inject": "disabled" } } }) }, /opted-out/],
    [
      "another image for a sidecar that runs",
      {
        operation: "UPDATE",
        object: changed((pod) => void (pod.spec.initContainers[1].image = "evil")),
        oldObject: injected(),
      },
      /sidecar-changed/,
    ],
    [
      "taking its record off a pod that runs",
      {
        operation: "UPDATE",
        object: changed((pod) => void delete pod.metadata.annotations["cardea.dev/status"]),
        oldObject: injected(),
      },
      /sidecar-changed/,
    ],
    [
      "a debugger with NET_ADMIN",
      ephemeral({ securityContext: { capabilities: { add: ["NET_ADMIN"] } } }),
      /capability: spec\.ephemeralContainers\[0\]/,
    ],
    ["a debugger as the sidecar's user", ephemeral({ securityContext: { runAsUser: 1337 } }), /runs-as-proxy/],
    ["a debugger in the sidecar's processes", ephemeral({ targetContainerName: "cardea-proxy" }), /debugs-sidecar/],
    ["a privileged debugger", ephemeral({ securityContext: { privileged: true } }), /privileged/],
  ])("%s", async (_name, request, message) => {
    const verdict = await ask(reviewPod, request, world(ENFORCED));
    expect(verdict).toMatchObject({ allowed: false, code: 403 });
    expect(verdict).toHaveProperty("message", expect.stringMatching(message));
    // The same is told, and let pass, where the namespace is audited.
    const audited = await ask(reviewPod, request, world(MESHED));
    expect(audited).toMatchObject({ allowed: true });
    expect(audited.warnings.join("\n")).toMatch(message);
  });

  test("by the mesh's setting, where the namespace says nothing", async () => {
    expect(await ask(reviewPod, { object: podOf() }, world(MESHED, "enforce"))).toMatchObject({ allowed: false });
  });

  test("by a label that is misspelt: something was to be refused", async () => {
    const misspelt = { ...MESHED, labels: { ...MESHED.labels, "cardea.dev/bypass-checks": "enforced" } };
    expect(await ask(reviewPod, { object: podOf() }, world(misspelt))).toMatchObject({ allowed: false });
  });

  test("what it was not asked about", async () => {
    const kind = { group: "", version: "v1", kind: "Secret" };
    expect(await ask(reviewPod, { kind }, world(ENFORCED))).toMatchObject({ allowed: false, code: 400 });
    expect(await ask(reviewPod, { subResource: "exec" }, world(ENFORCED))).toMatchObject({ allowed: false, code: 400 });
  });

  test("a pod of a namespace that is not known", async () => {
    expect(await ask(reviewPod, { object: injected() }, world(null))).toMatchObject({ allowed: false, code: 503 });
  });
});

describe("/validate/pods in enforce mode lets pass", () => {
  test("a pod as injection makes it, without a word", async () => {
    expect(await ask(reviewPod, { object: injected() }, world(ENFORCED))).toEqual({ allowed: true, warnings: [] });
  });

  test("what the namespace allows, and no more", async () => {
    const allowing = { ...ENFORCED, annotations: { "cardea.dev/allowed-bypasses": "privileged, nonsense" } };
    const verdict = await ask(reviewPod, { object: injected(privileged) }, world(allowing));
    expect(verdict).toMatchObject({ allowed: true });
    expect(verdict.warnings.join()).toContain('the namespace allows "nonsense", which is no code of a finding');
    const both = podOf({
      container: { securityContext: { privileged: true }, ports: [{ containerPort: 5, protocol: "UDP" }] },
    });
    expect(await ask(reviewPod, { object: injected(both) }, world(allowing))).toMatchObject({ allowed: false });
  });

  test("a warning, which it tells", async () => {
    const shared = podOf({ container: { ports: [{ containerPort: 80, hostPort: 80 }] } });
    const verdict = await ask(reviewPod, { object: injected(shared) }, world(ENFORCED));
    expect(verdict).toMatchObject({ allowed: true, warnings: [expect.stringMatching(/^host-port/)] });
  });

  test("a debugger without more rights than the app has", async () => {
    const verdict = await ask(reviewPod, ephemeral({ securityContext: { runAsUser: 7 } }), world(ENFORCED));
    expect(verdict).toMatchObject({ allowed: true, warnings: [expect.stringMatching(/^ephemeral-container/)] });
  });

  test("a label put on a pod that was let in before the rules were", async () => {
    const old = injected(privileged);
    const object = draft(old);
    object.metadata.labels.team = "a";
    const request = { operation: "UPDATE", object, oldObject: old };
    expect(await ask(reviewPod, request, world(ENFORCED))).toEqual({ allowed: true, warnings: [] });
  });

  test("changes of pods that are not in the mesh", async () => {
    const request = { operation: "UPDATE", object: privileged, oldObject: podOf() };
    expect(await ask(reviewPod, request, world(ENFORCED))).toEqual({ allowed: true, warnings: [] });
  });
});

// oxlint-disable-next-line typescript/no-explicit-any
function changed(change: (pod: any) => void): JsonObject {
  const pod = draft(injected());
  change(pod);
  return pod;
}

/** As kubectl debug asks for it. */
function ephemeral(container: JsonObject): Record<string, unknown> {
  const oldObject = injected();
  const object = draft(oldObject);
  object.spec.ephemeralContainers = [{ name: "debugger", image: "busybox", ...container }];
  return { operation: "UPDATE", subResource: "ephemeralcontainers", object, oldObject };
}
