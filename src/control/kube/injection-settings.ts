import { parseYaml } from "../../config/yaml.ts";
import { CardeaError, toCardeaError } from "../../core/errors.ts";
import { KUBE } from "../../core/kube-resources.ts";
import type { KubeApi, KubeObject } from "../../core/kube.ts";
import { type Fault, formatFault } from "../../core/located.ts";
import type { Clock, Logger, Random } from "../../core/ports.ts";
import { type InjectSettings, parseInjectSettings, type SidecarMode, sidecarModeOf } from "../inject/settings.ts";
import { record } from "./endpoint-facts.ts";
import { openInformer } from "./informer.ts";

export interface InjectionSettingsOptions {
  readonly kube: KubeApi;
  /** Of the ConfigMap. */
  readonly namespace: string;
  readonly name: string;
  /** What holds where there is no ConfigMap when we start: nobody has installed us, we are tried from outside. */
  readonly whenAbsent: InjectSettings;
  /** Why the document as it is now is not in force; null: it is. */
  onFault(fault: string | null): void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The mesh's injection settings, as they change. */
export interface LiveInjectionSettings {
  /** In force now. Errors: `bad-input` when there never was a good document; pods are refused then. */
  get(): InjectSettings;
  readonly synced: Promise<void>;
  close(): void;
}

/** The key of the ConfigMap that has the InjectionSettings document. */
export const INJECTION_KEY = "injection.yaml";

/** How long to wait before the server is asked for its version again. */
const RETRY_MS = 1_000;

/**
 * Follows the ConfigMap by way of the API: a change is in force at the next pod, where a mounted file would be a minute
 * late. A document that cannot be read leaves the last good one in force, and so does its removal. Whether sidecars are
 * native is told by the server's version unless the document says it.
 */
export function openInjectionSettings(options: InjectionSettingsOptions): LiveInjectionSettings {
  const { kube, namespace, name, clock, logger } = options;
  const closing = new AbortController();
  let mode: SidecarMode = options.whenAbsent.sidecar;
  let inForce: InjectSettings | null = null;
  let fault: string | null = null;

  function take(found: KubeObject | null): void {
    const text = record(found?.["data"])[INJECTION_KEY];
    if (typeof text !== "string") {
      refuse(`the ConfigMap ${namespace}/${name} has no ${INJECTION_KEY}`);
      return;
    }
    const faults: Fault[] = [];
    const read = readSettings(text, `${namespace}/${name}/${INJECTION_KEY}`, mode, faults);
    if (read === null) return refuse(faults.map(formatFault).join("\n"));
    if (inForce !== null) logger.log("info", "injection-settings-changed", { service: name });
    inForce = read;
    fault = null;
    options.onFault(null);
  }

  function refuse(why: string): void {
    fault = why;
    options.onFault(why);
  }

  const selection = { namespace, fieldSelector: `metadata.name=${name}` };
  const readVersion = untilKnown().then((found) => {
    mode = found;
  });
  let informer: { readonly synced: Promise<void>; close(): void } | null = null;
  const synced = readVersion.then(async () => {
    if (closing.signal.aborted) return;
    const opened = openInformer({
      ...options,
      api: kube,
      resource: KUBE.configMaps,
      selection,
      onChange: (_, after) => take(after),
    });
    informer = opened;
    await opened.synced;
    if (opened.objects.size === 0 && inForce === null && fault === null)
      inForce = { ...options.whenAbsent, sidecar: mode };
  });

  return {
    get() {
      if (inForce === null) throw new CardeaError("bad-input", fault ?? "the injection settings are not read yet");
      return inForce;
    },
    synced,
    close() {
      closing.abort();
      informer?.close();
    },
  };

  /** An API server that is away, or does not say: asked again until it does. */
  async function untilKnown(): Promise<SidecarMode> {
    while (!closing.signal.aborted) {
      try {
        return await readMode(kube);
      } catch (thrown) {
        logger.log("warn", "server-version-unknown", { error: toCardeaError(thrown).message });
        await new Promise<void>((resolve) => void clock.setTimer(RETRY_MS, resolve));
      }
    }
    return mode;
  }
}

/** Errors: those of KubeApi; `unreachable` where the answer is no version. */
async function readMode(kube: Pick<KubeApi, "text">): Promise<SidecarMode> {
  const answer = await kube.text("/version");
  try {
    const { gitVersion } = JSON.parse(answer) as { readonly gitVersion: string };
    return sidecarModeOf(gitVersion);
  } catch (thrown) {
    throw new CardeaError(
      "unreachable",
      `/version: ${thrown instanceof Error ? thrown.message : "no version"}`,
      thrown,
    );
  }
}

// oxlint-disable-next-line eslint/max-params
function readSettings(text: string, file: string, mode: SidecarMode, faults: Fault[]): InjectSettings | null {
  const [document, ...more] = parseYaml(text, file, faults);
  if (document === undefined || faults.length > 0) return null;
  if (more.length > 0)
    faults.push({ file, line: null, column: null, field: "", message: "has more than one document" });
  const read = parseInjectSettings(document, { file, field: "", faults }, mode);
  return faults.length > 0 ? null : read;
}
