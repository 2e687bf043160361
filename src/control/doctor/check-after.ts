import { parseYaml } from "../../config/yaml.ts";
import { isJsonList, type JsonValue, valueAt } from "../../core/json-value.ts";
import type { KubeObject } from "../../core/kube.ts";
import type { Fault } from "../../core/located.ts";
import { parseCertificate } from "../../pki/certificate.ts";
import { parseCertificatesPem } from "../../pki/pem.ts";
import { REVISION_LABEL } from "../inject/names.ts";
import { parseInjectSettings } from "../inject/settings.ts";
import { DEFAULT_OWNER, OWNER_LABEL } from "../install/names.ts";
import { webhookNames } from "../admission/webhook-configuration.ts";
import { controlName } from "../kube/control-name.ts";
import { record } from "../kube/endpoint-facts.ts";
import { INJECTION_KEY } from "../kube/injection-settings.ts";
import { isMeshNamespace } from "../kube/mesh-namespaces.ts";
import { ROOT_CONFIG_KEY } from "../kube/trust-bundle.ts";
import { checkGuard } from "./check-guard.ts";
import type { ClusterFacts } from "./cluster-facts.ts";
import { type Finding, reporter } from "./finding.ts";

/** Whether what is installed works. `nowMs` is the wall clock. */
export function checkAfter(facts: ClusterFacts, nowMs: number): readonly Finding[] {
  return [
    ...checkReplicas(facts),
    ...checkWebhooks(facts),
    ...checkGuard(facts),
    ...checkRoots(facts, nowMs),
    ...checkLeader(facts, nowMs),
    ...checkRevisions(facts),
  ];
}

/** Of each installation in the namespace: null is the one without a name. */
export function revisionsOf({ deployments }: ClusterFacts): readonly (string | null)[] {
  return (deployments ?? []).flatMap(({ metadata }) => {
    const owner = metadata.labels?.[OWNER_LABEL];
    return owner === undefined ? [] : [owner === DEFAULT_OWNER ? null : owner];
  });
}

function checkReplicas({ deployments }: ClusterFacts): readonly Finding[] {
  const { ok, error, warning, unknown } = reporter("replicas");
  if (deployments === null) return [unknown("Deployments cannot be listed")];
  return deployments.map((each) => {
    const about = `Deployment ${each.metadata.name}`;
    const wanted = numberAt(each, "spec", "replicas") ?? 1;
    const ready = numberAt(each, "status", "readyReplicas") ?? 0;
    const mend = `kubectl describe deployment -n ${each.metadata.namespace} ${each.metadata.name}`;
    if (ready === 0) return error(`none of ${wanted} replicas is ready: no pod of the mesh can start`, { about, mend });
    if (ready < wanted) return warning(`${ready} of ${wanted} replicas are ready`, { about, mend });
    return ok(`${ready} of ${wanted} replicas are ready`, { about });
  });
}

function checkWebhooks(facts: ClusterFacts): readonly Finding[] {
  const { ok, error, unknown } = reporter("webhooks");
  const { mutatingWebhooks, validatingWebhooks } = facts;
  if (mutatingWebhooks === null || validatingWebhooks === null)
    return [unknown("webhook configurations cannot be listed")];
  const roots = rootsIn(facts);
  const names = revisionsOf(facts).map(webhookNames);
  const wanted = names.flatMap(({ injector, validator }) => [
    { name: injector, found: mutatingWebhooks.find(({ metadata }) => metadata.name === injector) },
    { name: validator, found: validatingWebhooks.find(({ metadata }) => metadata.name === validator) },
  ]);
  return wanted.map(({ name, found }) => {
    const mend = "apply the output of cardea install anew";
    if (found === undefined) return error("is missing: nobody gives pods their sidecars", { about: name, mend });
    const bundles = new Set(webhooksOf(found).map((each) => bundleOf(each)));
    if (bundles.has(null))
      return error("has no roots yet: the API server cannot ask us", {
        about: name,
        mend: "see the control plane's log",
      });
    if (roots !== null && [...bundles].some((pem) => pem !== roots))
      return error("has other roots than the mesh", { about: name, mend: "see the control plane's log" });
    return ok("has the mesh's roots", { about: name });
  });
}

const DAY_MS = 86_400_000;

function checkRoots(facts: ClusterFacts, nowMs: number): readonly Finding[] {
  const { ok, warning, error, unknown } = reporter("roots");
  if (facts.roots === null) return [unknown("ConfigMaps cannot be listed")];
  const pem = rootsIn(facts);
  if (pem === null)
    return [
      error("are not published: no sidecar can start", { mend: "see the control plane's log: one of them leads" }),
    ];
  try {
    const ends = parseCertificatesPem(pem).map((der) => parseCertificate(der).notAfterMs);
    const days = Math.floor((Math.min(...ends) - nowMs) / DAY_MS);
    if (days < 0) return [error(`a root ended ${-days} days ago`)];
    return [days < 30 ? warning(`a root ends in ${days} days`) : ok(`published; the first one ends in ${days} days`)];
  } catch {
    return [error("cannot be read as certificates", { mend: "see the control plane's log" })];
  }
}

/** A Lease is renewed every few seconds. */
const LEASE_OLD_MS = 60_000;

function checkLeader({ leases, ...facts }: ClusterFacts, nowMs: number): readonly Finding[] {
  const { ok, warning, error, unknown } = reporter("leader");
  if (leases === null) return [unknown("Leases cannot be listed")];
  return revisionsOf({ ...facts, leases }).map((revision) => {
    const name = controlName(revision);
    const about = `Lease ${name}`;
    const spec = record(leases.find(({ metadata }) => metadata.name === name)?.["spec"]);
    const holder = typeof spec["holderIdentity"] === "string" ? spec["holderIdentity"] : "";
    if (holder === "")
      return error("nobody holds it: roots are not published", { about, mend: "see the control plane's log" });
    const ageMs = nowMs - Date.parse(typeof spec["renewTime"] === "string" ? spec["renewTime"] : "");
    if (!(ageMs < LEASE_OLD_MS))
      return warning(`${holder} has not renewed it for ${Math.round(ageMs / 1_000)} s`, { about });
    return ok(`held by ${holder}`, { about });
  });
}

function checkRevisions(facts: ClusterFacts): readonly Finding[] {
  const { ok, error, unknown } = reporter("revisions");
  if (facts.namespaces === null) return [unknown("namespaces cannot be listed")];
  const there = revisionsOf(facts);
  const lost = facts.namespaces.flatMap(({ metadata }) => {
    const named = metadata.labels?.[REVISION_LABEL];
    if (named === undefined || there.includes(named)) return [];
    return [
      error(`names the revision ${named}, which is not installed: nobody gives its pods their sidecars`, {
        about: `namespace ${metadata.name}`,
        mend: `kubectl label namespace ${metadata.name} ${REVISION_LABEL}-`,
      }),
    ];
  });
  const unserved = [...lost, ...withoutDefault(facts)];
  if (unserved.length > 0) return unserved;
  return [ok(`installed: ${there.map((each) => each ?? "the default").join(", ")}`)];
}

/** With revisions alone, and none of them the default, the usual label asks nobody. */
function withoutDefault(facts: ClusterFacts): readonly Finding[] {
  const { namespaces, mutatingWebhooks } = facts;
  const { injector } = webhookNames(null);
  const isThere = (mutatingWebhooks ?? []).some(({ metadata }) => metadata.name === injector);
  if (isThere || revisionsOf(facts).includes(null)) return [];
  const asking = (namespaces ?? []).filter((each) => {
    return isMeshNamespace(each) && each.metadata.labels?.[REVISION_LABEL] === undefined;
  });
  return asking.map(({ metadata }) =>
    reporter("revisions").error(
      "names no revision, and no installation is the default: nobody gives its pods their sidecars",
      {
        about: `namespace ${metadata.name}`,
        mend: `kubectl label namespace ${metadata.name} ${REVISION_LABEL}=REVISION, or install one with defaultRevision=true`,
      },
    ),
  );
}

/** What each installation would inject, by its control plane's host: its image. */
export function imagesOf({ configMaps, namespace }: ClusterFacts): ReadonlyMap<string, string> {
  const images = (configMaps ?? []).flatMap(({ metadata, ...object }) => {
    const text = record(object["data"])[INJECTION_KEY];
    if (typeof text !== "string") return [];
    const faults: Fault[] = [];
    const [document] = parseYaml(text, metadata.name, faults);
    const scope = { file: metadata.name, field: "", faults };
    const settings = document === undefined ? null : parseInjectSettings(document, scope);
    return settings === null ? [] : [[`${metadata.name}.${namespace}.svc`, settings.image] as const];
  });
  return new Map(images);
}

function rootsIn({ roots, namespace }: ClusterFacts): string | null {
  const found = (roots ?? []).find(({ metadata }) => metadata.namespace === namespace) ?? roots?.[0];
  const pem = record(found?.["data"])[ROOT_CONFIG_KEY];
  return typeof pem === "string" ? pem : null;
}

function webhooksOf(configuration: KubeObject): readonly JsonValue[] {
  // What the API server sends is JSON.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const webhooks = configuration["webhooks"] as JsonValue | undefined;
  return isJsonList(webhooks) ? webhooks : [];
}

function bundleOf(webhook: JsonValue): string | null {
  const bundle = valueAt(webhook, ["clientConfig", "caBundle"]);
  return typeof bundle === "string" && bundle !== "" ? Buffer.from(bundle, "base64").toString("utf8") : null;
}

function numberAt(object: KubeObject, group: "spec" | "status", field: string): number | null {
  const found = record(object[group])[field];
  return typeof found === "number" ? found : null;
}
