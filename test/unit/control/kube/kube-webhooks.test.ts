import { describe, expect, test } from "vitest";
import { webhookConfigurations } from "../../../../src/control/admission/webhook-configuration.ts";
import { createCaBundlePort, createNamespaceLookup } from "../../../../src/control/kube/kube-webhooks.ts";
import { KUBE } from "../../../../src/core/kube-resources.ts";
import type { KubeObject } from "../../../../src/core/kube.ts";
import { createMemoryKube } from "../../../support/memory-kube.ts";

describe("the roots in a webhook configuration", () => {
  test("are not looked for where there is none", async () => {
    const kube = createMemoryKube();
    expect(await createCaBundlePort(kube).patchCaBundle("mutating", "cardea-injector", "PEM")).toBe(false);
    expect(kube.calls.some((call) => call.startsWith("patch"))).toBe(false);
  });

  test("are not written again where they are right", async () => {
    const kube = createMemoryKube();
    const clientConfig = { caBundle: Buffer.from("PEM").toString("base64") };
    kube.put(KUBE.mutatingWebhooks, { metadata: { name: "cardea-injector" }, webhooks: [{ name: "a", clientConfig }] });
    expect(await createCaBundlePort(kube).patchCaBundle("mutating", "cardea-injector", "PEM")).toBe(true);
    expect(kube.calls.some((call) => call.startsWith("patch"))).toBe(false);
  });

  test.each(["unreachable", "kube-forbidden", "kube-conflict"] as const)(
    "are told when the API answers %s",
    async (code) => {
      const kube = createMemoryKube();
      // A configuration is an object like any other to the API in memory.
      const [, validator] = webhookConfigurations() as readonly KubeObject[];
      kube.put(KUBE.validatingWebhooks, validator!);
      kube.fail("patch", code);
      const patch = createCaBundlePort(kube).patchCaBundle("validating", "cardea-validator", "PEM");
      await expect(patch).rejects.toMatchObject({ code });
    },
  );
});

describe("the namespace of a pod", () => {
  test("is the one that is followed; a new one is asked for", async () => {
    const kube = createMemoryKube();
    kube.put(KUBE.namespaces, { metadata: { name: "new", labels: { "cardea.dev/inject": "enabled" } } });
    const known = new Map([["shop", { metadata: { name: "shop", annotations: { a: "b" } } }]]);
    const lookUp = createNamespaceLookup(kube, known);
    expect(await lookUp("shop")).toEqual({ name: "shop", labels: {}, annotations: { a: "b" } });
    expect(kube.calls).toEqual([]);
    expect(await lookUp("new")).toEqual({ name: "new", labels: { "cardea.dev/inject": "enabled" }, annotations: {} });
  });

  test("is none where the API has none, and an error where the API is away", async () => {
    const kube = createMemoryKube();
    const lookUp = createNamespaceLookup(kube, new Map());
    expect(await lookUp("shop")).toBeNull();
    expect(await lookUp("")).toBeNull();
    kube.fail("get", "unreachable");
    await expect(lookUp("shop")).rejects.toMatchObject({ code: "unreachable" });
  });
});
