import { type JsonValue, memberOf } from "../../core/json-value.ts";
import { CONTAINERS, VOLUMES } from "../inject/names.ts";
import { type BypassFinding, finding } from "./bypass-finding.ts";
import { appContainersOf, containersIn, isOurs, itemsOf, wordOf } from "./pod-view.ts";

/** What containers of the app reach of the sidecar's: its files, its audience, its processes, the time before it. */
export function checkContainers(pod: JsonValue, tokenAudience: string): readonly BypassFinding[] {
  return [
    ...checkMounts(pod),
    ...checkTokens(pod, tokenAudience),
    ...checkOrder(pod),
    ...containersIn(pod, "ephemeralContainers").flatMap(checkEphemeral),
  ];
}

/** All of the sidecar's volumes but the one that is for the app. */
const GUARDED_VOLUMES: ReadonlySet<string> = new Set([VOLUMES.token, VOLUMES.pod]);

function checkMounts(pod: JsonValue): readonly BypassFinding[] {
  return appContainersOf(pod).flatMap(({ container, name, path }) =>
    itemsOf(container, "volumeMounts").flatMap(([mount, index]) => {
      const volume = memberOf(mount, "name");
      if (typeof volume !== "string" || !GUARDED_VOLUMES.has(volume)) return [];
      return [finding("sidecar-shared", [...path, "volumeMounts", index], `${volume} in the container ${name}`)];
    }),
  );
}

function checkTokens(pod: JsonValue, audience: string): readonly BypassFinding[] {
  return itemsOf(memberOf(pod, "spec"), "volumes").flatMap(([volume, index]) => {
    const name = memberOf(volume, "name");
    if (name === VOLUMES.token) return [];
    return itemsOf(memberOf(volume, "projected"), "sources").flatMap(([source, at]) => {
      if (memberOf(memberOf(source, "serviceAccountToken"), "audience") !== audience) return [];
      const path = ["spec", "volumes", index, "projected", "sources", at, "serviceAccountToken", "audience"];
      return [finding("mesh-token", path, `${audience} in the volume ${wordOf(name)}`)];
    });
  });
}

/** Between the redirect and the sidecar nothing gets out, which is the mesh's way to fail; before it, everything does. */
function checkOrder(pod: JsonValue): readonly BypassFinding[] {
  const init = containersIn(pod, "initContainers");
  const redirect = init.findIndex(({ name }) => name === CONTAINERS.redirect);
  if (redirect < 0) return [];
  return init.slice(0, redirect).map(({ name, path }) => finding("before-sidecar", path, `the init container ${name}`));
}

type Placed = ReturnType<typeof containersIn>[number];

function checkEphemeral({ container, name, path }: Placed): readonly BypassFinding[] {
  const target = memberOf(container, "targetContainerName");
  const what = `the ephemeral container ${name}`;
  if (typeof target === "string" && isOurs(target))
    return [finding("debugs-sidecar", [...path, "targetContainerName"], `${what} targets ${target}`)];
  return [finding("ephemeral-container", path, what)];
}
