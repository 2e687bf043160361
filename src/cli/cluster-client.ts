import { delimiter, join } from "node:path";
import { inClusterConnection, parseKubeconfig } from "../config/kube-config.ts";
import { CardeaError } from "../core/errors.ts";
import type { KubeConnection } from "../core/kube.ts";
import { systemClock } from "../io/clock.ts";
import { readText, readTextIfPresent } from "../io/files.ts";
import { type KubeClient, openKubeClient } from "../io/kube-client.ts";
import { createSystemRandom } from "../io/random.ts";
import type { ParsedArgs, Terminal } from "./command.ts";
import { readVersion } from "./version.ts";

/** A client for a command that a person has called. */
export interface ClusterClient {
  readonly kube: KubeClient;
  /** `https://host:port`. */
  readonly server: string;
  close(): Promise<void>;
}

/** Nothing is asked yet. Errors: `bad-input` where no cluster is named, or what names it cannot be read. */
export async function openClusterClient(args: ParsedArgs, { env }: Pick<Terminal, "env">): Promise<ClusterClient> {
  const connection = await readConnection(args, env);
  const userAgent = `cardea/${await readVersion()}`;
  const kube = openKubeClient({ connection, clock: systemClock, random: createSystemRandom(), userAgent });
  return { kube, server: connection.server, close: () => kube.close() };
}

/** As kubectl looks for it. */
async function readConnection(args: ParsedArgs, env: Terminal["env"]): Promise<KubeConnection> {
  const named = args.flag("kubeconfig") ?? firstOf(env["KUBECONFIG"]);
  if (named !== undefined) return parseKubeconfig(await readText(named), named);
  const inCluster = inClusterConnection(env);
  const usual = env["HOME"] === undefined ? null : join(env["HOME"], ".kube", "config");
  const text = usual === null ? null : await readTextIfPresent(usual);
  if (usual !== null && text !== null) return parseKubeconfig(text, usual);
  if (inCluster !== null) return inCluster;
  throw new CardeaError("bad-input", "no cluster is named: --kubeconfig FILE says where one is");
}

/** kubectl joins several files; we take the first. */
function firstOf(list: string | undefined): string | undefined {
  return list?.split(delimiter).find((each) => each !== "");
}
