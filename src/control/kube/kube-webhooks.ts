import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi, KubeObject } from "../../core/kube.ts";
import { isJsonList, type JsonValue, valueAt } from "../../core/json-value.ts";
import type { KubeControlConfig } from "../../config/kube-control-config.ts";
import type { Listening } from "../../core/ports.ts";
import { openWebhooks } from "../admission/open-webhooks.ts";
import type { WebhookParts } from "../control-plane.ts";
import { controlName } from "./control-name.ts";
import { openInjectionSettings } from "./injection-settings.ts";
import type { KubePlanePorts } from "./kube-plane.ts";
import { driftOf } from "../admission/webhook-drift.ts";
import { DEFAULT_WEBHOOK_OPTIONS, webhookConfigurations, webhookNames } from "../admission/webhook-configuration.ts";
import type { ClusterFaults } from "./cluster-faults.ts";
import type { CaBundlePort } from "../admission/ca-bundle.ts";
import type { PodWorld } from "../admission/pod-world.ts";
import type { NamespaceFacts } from "../inject/injection.ts";

interface KubeWebhooksOptions extends WebhookParts, Pick<KubePlanePorts, "kube" | "clock" | "random" | "logger"> {
  readonly config: KubeControlConfig;
  readonly ports: Pick<KubePlanePorts, "openHttpsServer" | "injection">;
  /** As they are followed. */
  readonly namespaces: ReadonlyMap<string, KubeObject>;
  readonly faults: ClusterFaults;
}

/** The webhooks of a control plane on Kubernetes. Errors: `unreachable` when the port is taken. */
export async function openKubeWebhooks(options: KubeWebhooksOptions): Promise<Listening> {
  const { config, kube, namespaces, ports, faults } = options;
  const { trustDomain, rootNamespace } = config.mesh;
  const name = controlName(config.revision);
  const settings = openInjectionSettings({
    ...options,
    namespace: rootNamespace,
    name,
    whenAbsent: ports.injection,
    onFault: (fault) => faults.set("injection-settings", fault),
  });
  // Without them a pod would get another image than the one that was asked for.
  await settings.synced;
  const webhooks = await openWebhooks({
    ...options,
    listen: config.webhooks,
    dnsNames: [`${name}.${rootNamespace}.svc`],
    revisions: config.serves,
    pods: {
      settings: () => ({ ...settings.get(), trustDomain, rootNamespace, tokenAudience: config.audience }),
      bypassMode: () => config.bypassChecks,
      namespaceOf: createNamespaceLookup(kube, namespaces),
    },
    configurations: createCaBundlePort(kube, tellDrift(options)),
    otherNames: config.webhookNames,
    openServer: (server) => ports.openHttpsServer(server),
  }).catch((thrown: unknown) => {
    settings.close();
    throw thrown;
  });
  return {
    ...webhooks,
    async close() {
      settings.close();
      await webhooks.close();
    },
  };
}

/** Is told of each configuration as it is looked at; null: it is not there. */
type OnFound = (name: string, found: KubeObject | null) => void;

/** They are another's to install, and to change; that pods slip by meanwhile must not go unnoticed. */
function tellDrift({ config, faults }: Pick<KubeWebhooksOptions, "config" | "faults">): OnFound {
  const { rootNamespace } = config.mesh;
  const wanted = new Map<string, object>();
  for (const revision of config.serves) {
    const [injector, validator] = webhookConfigurations({ ...DEFAULT_WEBHOOK_OPTIONS, rootNamespace, revision });
    const names = webhookNames(revision);
    wanted.set(names.injector, injector!).set(names.validator, validator!);
  }
  return (name, found) => {
    faults.set("webhooks-absent", found === null ? `${name} is missing: ${ABSENT}` : null, name);
    const drift = found === null ? null : driftOf(wanted.get(name)!, found);
    faults.set("webhooks-changed", drift === null ? null : `${name}: ${drift}; apply the installation anew`, name);
  };
}

const ABSENT =
  "what is made now is neither injected nor checked; apply the installation anew, and begin such pods again";

/** Puts roots into webhook configurations, by a patch that holds for the object that was read and for no later one. */
export function createCaBundlePort(kube: KubeApi, onFound: OnFound = () => undefined): CaBundlePort {
  return {
    async patchCaBundle(kind, name, rootsPem) {
      const resource = kind === "mutating" ? KUBE.mutatingWebhooks : KUBE.validatingWebhooks;
      const found = await kube.get(resource, { name });
      onFound(name, found);
      if (found === null) return false;
      const value = Buffer.from(rootsPem).toString("base64");
      const changes = webhooksOf(found).flatMap((webhook, index) => {
        if (valueAt(webhook, ["clientConfig", "caBundle"]) === value) return [];
        return [{ op: "add", path: `/webhooks/${index}/clientConfig/caBundle`, value }];
      });
      if (changes.length === 0) return true;
      const isStill = { op: "test", path: "/metadata/resourceVersion", value: found.metadata.resourceVersion };
      await kube.patch(resource, { name }, { type: "json", body: [isStill, ...changes] });
      return true;
    },
  };
}

function webhooksOf(configuration: KubeObject): readonly JsonValue[] {
  // What the API server sends is JSON.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const webhooks = configuration["webhooks"] as JsonValue | undefined;
  return isJsonList(webhooks) ? webhooks : [];
}

/**
 * Namespaces as they are followed; one that is not among them may be a moment old, and is asked for. `known` is the
 * informer's, which is behind by as long as its watch is.
 */
export function createNamespaceLookup(kube: KubeApi, known: ReadonlyMap<string, KubeObject>): PodWorld["namespaceOf"] {
  return async (name, { isFresh = false } = {}): Promise<NamespaceFacts | null> => {
    const followed = isFresh ? undefined : known.get(name);
    const found = followed ?? (name === "" ? null : await kube.get(KUBE.namespaces, { name }));
    if (found === null) return null;
    const { labels = {}, annotations = {} } = found.metadata;
    return { name, labels, annotations };
  };
}
