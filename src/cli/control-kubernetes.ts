import { inClusterConnection, parseKubeconfig } from "../config/kube-config.ts";
import { type KubeControlConfig, type KubeFlowsConfig, parseKubeControlConfig } from "../config/kube-control-config.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import { openFlowStore, type OpenFlowStore, startStoreThread } from "../control/flows/open-store.ts";
import { DEFAULT_INJECT_SETTINGS } from "../control/inject/settings.ts";
import { openKubeControlPlane } from "../control/kube/kube-plane.ts";
import { CardeaError } from "../core/errors.ts";
import type { KubeConnection } from "../core/kube.ts";
import type { Logger } from "../core/ports.ts";
import { systemClock } from "../io/clock.ts";
import { readText } from "../io/files.ts";
import { createGuardedFetch } from "../io/guarded-fetch.ts";
import { openHttpAdmin } from "../io/http-admin.ts";
import { openHttpsServer } from "../io/https-server.ts";
import { openKubeClient } from "../io/kube-client.ts";
import { createSystemRandom } from "../io/random.ts";
import { listenTls } from "../io/tls-listener.ts";
import type { ParsedArgs, Terminal } from "./command.ts";
import { readVersion } from "./version.ts";

type Environment = Terminal["env"];

/** Whether the control plane is that of a cluster: it was asked for, or we run in one and no file says otherwise. */
export function isOnKubernetes(args: ParsedArgs, env: Environment): boolean {
  if (args.isSet("kubernetes") || args.flag("kubeconfig") !== undefined) return true;
  return args.flag("config") === undefined && inClusterConnection(env) !== null;
}

/** Errors: `bad-input`. */
export async function readKubeConfig(args: ParsedArgs, env: Environment): Promise<KubeControlConfig> {
  const file = args.flag("config");
  return parseKubeControlConfig(file === undefined ? null : await readText(file), file ?? "defaults", env);
}

/** Errors: `bad-input`, and those of the API that waiting does not mend. */
export async function openKubePlane(
  config: KubeControlConfig,
  args: ParsedArgs,
  { env, logger }: { readonly env: Environment; readonly logger: Logger },
): Promise<ControlPlane> {
  const version = await readVersion();
  const [clock, random] = [systemClock, createSystemRandom()];
  const connection = await readConnection(args, env);
  const kube = openKubeClient({ connection, clock, random, userAgent: `cardea-control/${version}` });
  const injection = DEFAULT_INJECT_SETTINGS;
  const openStore = ({ directory, retentionMs, bytesMax }: KubeFlowsConfig): Promise<OpenFlowStore> =>
    openFlowStore({ directory, retentionMs, bytesMax }, { logger, clock, start: startStoreThread });
  const io = {
    kube,
    openStore,
    listenTls,
    openAdmin: openHttpAdmin,
    openHttpsServer,
    fetchText: createGuardedFetch(config.jwks),
  };
  const ports = { ...io, injection, clock, random, logger, version };
  const plane = await openKubeControlPlane(config, ports);
  return {
    ...plane,
    async close(graceMs) {
      await plane.close(graceMs);
      await kube.close();
    },
  };
}

async function readConnection(args: ParsedArgs, env: Environment): Promise<KubeConnection> {
  const file = args.flag("kubeconfig") ?? (env["KUBECONFIG"] === "" ? undefined : env["KUBECONFIG"]);
  const inCluster = inClusterConnection(env);
  if (args.flag("kubeconfig") === undefined && inCluster !== null) return inCluster;
  if (file !== undefined) return parseKubeconfig(await readText(file), file);
  throw new CardeaError("bad-input", "we run in no cluster: --kubeconfig FILE says where one is");
}
