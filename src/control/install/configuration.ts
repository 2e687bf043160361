import { FLOWS_DIRECTORY } from "../../config/kube-control-config.ts";
import { INJECTION_KEY } from "../kube/injection-settings.ts";
import { CONTROL, CONTROL_PORTS, IS_DEFAULT, LABELS } from "./names.ts";
import {
  choose,
  document,
  isSet,
  namespace,
  spread,
  type Template,
  type TemplateMap,
  text,
  textWhen,
  value,
  when,
} from "./template.ts";

/** Keys of the ConfigMap. The first is mounted; the second is followed by way of the API, and heeded at once. */
export const CONFIG_KEYS = { control: "control.yaml", injection: INJECTION_KEY } as const;

/** Values that a control plane reads once, when it starts. */
export const READ_ONCE = ["mesh", "jwks", "revision", "defaultRevision", "control.logLevel", "flows"];

/** The ConfigMap: how the control plane runs, and what it makes of pods. */
export function configuration(): TemplateMap {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: CONTROL, namespace, labels: LABELS },
    data: {
      [CONFIG_KEYS.control]: document(control()),
      [CONFIG_KEYS.injection]: document(injection()),
    },
  };
}

/** config/kube-control-config.ts reads it. */
function control(): TemplateMap {
  return {
    name: value("mesh.name"),
    mesh: {
      trustDomain: value("mesh.trustDomain"),
      trustDomainAliases: value("mesh.trustDomainAliases"),
      rootNamespace: namespace,
      enforcement: value("mesh.enforcement"),
      defaultAction: value("mesh.defaultAction"),
      pathNormalization: value("mesh.pathNormalization"),
      numTrustedProxies: value("mesh.numTrustedProxies"),
      extensionProviders: value("mesh.extensionProviders"),
    },
    clusterDomain: value("mesh.clusterDomain"),
    jwks: { allowHttp: value("jwks.allowHttp"), allowAddresses: value("jwks.allowAddresses") },
    audience: value("mesh.tokenAudience"),
    bypassChecks: value("mesh.bypassChecks"),
    revision: when(isSet("revision"), value("revision")),
    servesDefault: choose(IS_DEFAULT, true, false),
    logLevel: value("control.logLevel"),
    flows: when(isSet("flows.store"), { directory: FLOWS_DIRECTORY }),
  };
}

/** inject/settings.ts reads it. */
function injection(): TemplateMap {
  return {
    apiVersion: "cardea.dev/v1",
    kind: "InjectionSettings",
    spec: {
      image: value("image"),
      imagePullPolicy: value("imagePullPolicy"),
      program: value("injection.program"),
      sidecar: value("injection.sidecar"),
      trustDomain: value("mesh.trustDomain"),
      controlAddress: controlAddress(CONTROL_PORTS.grpc),
      flowCollector: when(isSet("flows.store"), controlAddress(CONTROL_PORTS.flows)),
      flowSampleOneIn: value("flows.sampleOneIn"),
      rootNamespace: namespace,
      tokenAudience: value("mesh.tokenAudience"),
      tokenTtlSec: value("injection.tokenTtlSec"),
      excludedNamespaces: [spread("injection.excludedNamespaces"), namespace],
      logLevel: value("injection.logLevel"),
      drainTimeoutSec: value("injection.drainTimeoutSec"),
      drainDelaySec: value("injection.drainDelaySec"),
      proxyResources: value("injection.proxyResources"),
      redirectResources: value("injection.redirectResources"),
    },
  };
}

function controlAddress(port: number): Template {
  return text("cardea-control", textWhen(isSet("revision"), "-", value("revision")), ".", namespace, `.svc:${port}`);
}
