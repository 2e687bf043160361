import { join } from "node:path";
import { type ControlConfig, parseControlConfig } from "../config/control-config.ts";
import { type ControlPlane, openControlPlane } from "../control/control-plane.ts";
import { openDirectory } from "../control/distribute/directory.ts";
import { openPolicySource } from "../control/distribute/policy-source.ts";
import { openRegistry } from "../control/distribute/registry.ts";
import { openRevisionArchive } from "../control/distribute/revision-archive.ts";
import { openFlowStore, startStoreThread } from "../control/flows/open-store.ts";
import { openOtlpGrpc } from "../control/traces/otlp-grpc.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Logger, LogLevel } from "../core/ports.ts";
import { systemClock } from "../io/clock.ts";
import { readText } from "../io/files.ts";
import { createGuardedFetch } from "../io/guarded-fetch.ts";
import { openHttpAdmin } from "../io/http-admin.ts";
import { createSystemRandom } from "../io/random.ts";
import { openOtlpHttp } from "../io/otlp-http.ts";
import { openStateFiles } from "../io/state-files.ts";
import { listenTls } from "../io/tls-listener.ts";
import { createLogger } from "../observe/log.ts";
import { watchLoopLag } from "../observe/loop-lag.ts";
import type { Command, ParsedArgs, Terminal } from "./command.ts";
import { openLocalMap } from "./control-map.ts";
import { isOnKubernetes, openKubePlane, readKubeConfig } from "./control-kubernetes.ts";
import { gitSourceOf } from "./git-source.ts";
import { readVersion } from "./version.ts";

/** The control plane: authority, policies and discovery. `cardea up` starts it; so does a container. */
export const command: Command = {
  name: "control",
  summary: "the control plane: certificates, policies and discovery for sidecars",
  usage: "cardea control --config FILE | --kubernetes [--config FILE] [--kubeconfig FILE]",
  example: "cardea control --config ~/.local/state/cardea/local/control.json",
  positional: { min: 0, max: 0 },
  flags: [
    {
      name: "config",
      value: "FILE",
      summary: "bootstrap configuration (JSON); on Kubernetes the mesh's settings (YAML)",
    },
    { name: "kubernetes", value: null, summary: "serve a cluster; the default without --config in a pod" },
    { name: "kubeconfig", value: "FILE", summary: "the cluster to serve, from outside of it" },
  ],
  run: runControl,
};

/** Calls that are under way at SIGTERM may finish for this long. */
const GRACE_MS = 1_000;

interface Prepared {
  readonly logger: Logger;
  readonly open: () => Promise<ControlPlane>;
}

/** Reads the configuration, of files or of a cluster. Errors: `bad-input`. */
async function prepare(args: ParsedArgs, terminal: Terminal): Promise<Prepared> {
  const { env } = terminal;
  if (isOnKubernetes(args, env)) {
    const config = await readKubeConfig(args, env);
    const logger = openLogger(config.logLevel, terminal);
    return { logger, open: () => openKubePlane(config, args, { env, logger }) };
  }
  const file = args.flag("config");
  if (file === undefined) throw new CardeaError("bad-input", "--config FILE is missing");
  const config = parseControlConfig(await readText(file), file);
  const logger = openLogger(config.logLevel, terminal);
  return { logger, open: () => openPlane(config, logger) };
}

function openLogger(level: LogLevel, terminal: Terminal): Logger {
  const write = (line: string): void => terminal.stderr(line);
  return createLogger({ write, level, process: "control", wallMs: () => systemClock.wallMs() });
}

async function runControl(args: ParsedArgs, terminal: Terminal): Promise<0> {
  const { logger, open } = await prepare(args, terminal);
  const ended = new Promise<void>((resolve) => terminal.onSignal(() => resolve()));
  const plane = await open();
  logger.log("info", "ready", { address: `${plane.address.host}:${plane.address.port}`, spiffeId: plane.spiffeId });
  const { address, admin, telemetry, webhooks, map, spiffeId } = plane;
  // For whoever has started us and waits; all else goes to stderr.
  terminal.stdout(JSON.stringify({ ready: "control", address, admin, telemetry, webhooks, map, spiffeId }));
  await ended;
  logger.log("info", "ending", {});
  await plane.close(GRACE_MS);
  return 0;
}

async function openPlane(config: ControlConfig, logger: Logger): Promise<ControlPlane> {
  const at = (name: string): string => join(config.stateDir, name);
  const directory = openDirectory(at("registry"), [".json"]);
  try {
    return await openControlPlane(config, {
      policies:
        config.policiesGit === null
          ? openPolicySource(config.policiesDir)
          : gitSourceOf(config.policiesGit, config.stateDir, logger),
      openRegistry: (context) => openRegistry({ directory, logger, ...context }),
      archive: openRevisionArchive(at("revisions")),
      state: openStateFiles(config.stateDir),
      listenTls,
      openAdmin: openHttpAdmin,
      openFlowStore: ({ retentionMs, bytesMax }) =>
        openFlowStore(
          { directory: at("flow-store"), retentionMs, bytesMax },
          { logger, clock: systemClock, start: startStoreThread },
        ),
      openSpanSender: ({ url, protocol }) => (protocol === "grpc" ? openOtlpGrpc(url, systemClock) : openOtlpHttp(url)),
      openMap: (map, parts) =>
        openLocalMap(map, parts, { revisionsDirectory: at("revisions"), policiesDirectory: config.policiesDir }),
      fetchText: createGuardedFetch(config.jwks),
      clock: systemClock,
      random: createSystemRandom(),
      logger,
      version: await readVersion(),
      processMetrics: [watchLoopLag(systemClock)],
    });
  } catch (thrown) {
    const error = toCardeaError(thrown);
    // What could not be reached here is a port of the configuration: it is the input that is at fault.
    throw error.code === "unreachable" ? new CardeaError("bad-input", error.message, error) : error;
  }
}
