import { describe, expect, test } from "vitest";
import {
  DEFAULT_WEBHOOK_OPTIONS,
  webhookConfigurations,
  webhookNames,
} from "../../../../src/control/admission/webhook-configuration.ts";

interface Expression {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}

interface Webhook {
  readonly name: string;
  readonly failurePolicy: string;
  readonly namespaceSelector: { readonly matchExpressions: readonly Expression[] };
  readonly objectSelector: { readonly matchExpressions?: readonly Expression[] };
  readonly clientConfig: { readonly caBundle?: string; readonly service: Readonly<Record<string, unknown>> };
  readonly [field: string]: unknown;
}

type Labels = Readonly<Record<string, string>>;

function webhooks(options: Partial<typeof DEFAULT_WEBHOOK_OPTIONS> = {}): readonly Webhook[] {
  const all = webhookConfigurations({ ...DEFAULT_WEBHOOK_OPTIONS, ...options });
  return all.flatMap((each) => (each as { webhooks: readonly Webhook[] }).webhooks);
}

/** As apimachinery's labels.Selector decides. */
function selects({ matchExpressions = [] }: { matchExpressions?: readonly Expression[] }, labels: Labels): boolean {
  return matchExpressions.every(({ key, operator, values = [] }) => {
    const has = Object.hasOwn(labels, key);
    if (operator === "Exists") return has;
    if (operator === "DoesNotExist") return !has;
    return operator === "In" ? has && values.includes(labels[key]!) : !has || !values.includes(labels[key]!);
  });
}

function namespace(name: string, labels: Labels = {}): Labels {
  return { "kubernetes.io/metadata.name": name, ...labels };
}

/** Names of the webhooks of pods that are asked about one. */
function asked(of: Labels, pod: Labels = {}, options: Partial<typeof DEFAULT_WEBHOOK_OPTIONS> = {}): readonly string[] {
  return webhooks(options)
    .filter(({ name }) => !name.includes("policies"))
    .filter((each) => selects(each.namespaceSelector, of) && selects(each.objectSelector, pod))
    .map(({ name, failurePolicy }) => `${name} ${failurePolicy}`);
}

const MESHED = { "cardea.dev/inject": "enabled" };

describe("whom the API server asks us about", () => {
  test.each<[string, Labels, Labels, readonly string[]]>([
    [
      "a pod of a meshed namespace waits for injection",
      namespace("shop", MESHED),
      {},
      ["namespace.inject.cardea.dev Fail", "audited.pods.cardea.dev Ignore"],
    ],
    [
      "in enforce mode for the check, too",
      namespace("shop", { ...MESHED, "cardea.dev/bypass-checks": "enforce" }),
      {},
      ["namespace.inject.cardea.dev Fail", "enforced.pods.cardea.dev Fail"],
    ],
    [
      "a pod that opts out is checked alone",
      namespace("shop", MESHED),
      { "cardea.dev/inject": "disabled" },
      ["audited.pods.cardea.dev Ignore"],
    ],
    [
      "a pod may opt in for itself",
      namespace("shop"),
      MESHED,
      ["pod.inject.cardea.dev Fail", "single.pods.cardea.dev Ignore"],
    ],
    [
      "also where its namespace says no",
      namespace("shop", { "cardea.dev/inject": "disabled" }),
      MESHED,
      ["pod.inject.cardea.dev Fail", "single.pods.cardea.dev Ignore"],
    ],
    [
      "nobody is asked twice",
      namespace("shop", MESHED),
      MESHED,
      ["namespace.inject.cardea.dev Fail", "audited.pods.cardea.dev Ignore"],
    ],
    ["a namespace of a revision is not the default's", namespace("shop", { "cardea.dev/rev": "b" }), {}, []],
    ["other namespaces are not ours", namespace("shop"), {}, []],
    ["other meshes' namespaces neither", namespace("shop", { "istio-injection": "enabled" }), {}, []],
  ])("%s", (_name, of, pod, expected) => {
    expect(asked(of, pod)).toEqual(expected);
  });

  test.each(["kube-system", "kube-public", "kube-node-lease", "cardea-system"])(
    "%s never waits for us, whatever labels it and its pods have",
    (name) => {
      for (const labels of [
        {},
        MESHED,
        { ...MESHED, "cardea.dev/bypass-checks": "enforce" },
        { "cardea.dev/rev": "b" },
      ])
        for (const pod of [{}, MESHED, { "cardea.dev/rev": "b" }])
          for (const revision of [null, "b"]) expect(asked(namespace(name, labels), pod, { revision })).toEqual([]);
    },
  );

  test("a revision has its own namespaces and pods, and never the default's", () => {
    const ofB = { revision: "b" };
    expect(asked(namespace("shop", { "cardea.dev/rev": "b" }), {}, ofB)).toEqual([
      "namespace.inject.cardea.dev Fail",
      "audited.pods.cardea.dev Ignore",
    ]);
    expect(asked(namespace("shop", MESHED), {}, ofB)).toEqual([]);
    expect(asked(namespace("shop", { "cardea.dev/rev": "c" }), {}, ofB)).toEqual([]);
    expect(asked(namespace("shop"), { "cardea.dev/rev": "b" }, ofB)).toEqual([
      "pod.inject.cardea.dev Fail",
      "single.pods.cardea.dev Ignore",
    ]);
  });
});

describe("policies", () => {
  const failing = webhooks().filter(({ name, failurePolicy }) => name.includes("policies") && failurePolicy === "Fail");

  test("wait for us, except in kube-system and in our own namespace", () => {
    expect(failing.length).toBe(4);
    for (const { namespaceSelector } of failing) {
      expect(selects(namespaceSelector, namespace("shop"))).toBe(true);
      for (const name of ["kube-system", "cardea-system"])
        expect(selects(namespaceSelector, namespace(name))).toBe(false);
    }
  });
});

describe("every webhook", () => {
  test("has a time-out, says that it has no side effects, and takes v1", () => {
    expect(webhooks().length).toBeGreaterThan(8);
    for (const each of webhooks()) {
      expect(each).toMatchObject({ sideEffects: "None", admissionReviewVersions: ["v1"], matchPolicy: "Equivalent" });
      expect(each["timeoutSeconds"]).toBeLessThanOrEqual(10);
      expect(each.clientConfig.service).toMatchObject({ name: "cardea-control", namespace: "cardea-system" });
    }
  });

  test("has a name of its own", () => {
    const names = webhooks().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test("has the roots where they are known, and leaves the field out where not", () => {
    for (const { clientConfig } of webhooks()) expect(clientConfig).not.toHaveProperty("caBundle");
    for (const { clientConfig } of webhooks({ caBundle: "PEM" }))
      expect(clientConfig.caBundle).toBe(Buffer.from("PEM").toString("base64"));
  });

  test("stands in an object that is named for its revision", () => {
    expect(webhookNames("b")).toEqual({ injector: "cardea-injector-b", validator: "cardea-validator-b" });
    expect(webhookConfigurations({ ...DEFAULT_WEBHOOK_OPTIONS, revision: "b" })).toMatchObject([
      { metadata: { name: "cardea-injector-b" } },
      { metadata: { name: "cardea-validator-b" } },
    ]);
  });
});
