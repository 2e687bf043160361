import { join } from "node:path";
import { type ControlConfig, parseControlConfig } from "../config/control-config.ts";
import { type ControlPlane, openControlPlane } from "../control/control-plane.ts";
import { openDirectory } from "../control/distribute/directory.ts";
import { openPolicySource } from "../control/distribute/policy-source.ts";
import { openRevisionArchive } from "../control/distribute/revision-archive.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import type { Logger } from "../core/ports.ts";
import { systemClock } from "../io/clock.ts";
import { readText } from "../io/files.ts";
import { openHttpAdmin } from "../io/http-admin.ts";
import { createSystemRandom } from "../io/random.ts";
import { openStateFiles } from "../io/state-files.ts";
import { listenTls } from "../io/tls-listener.ts";
import { createLogger } from "../observe/log.ts";
import type { Command, ParsedArgs, Terminal } from "./command.ts";
import { readVersion } from "./version.ts";

/** The control plane: authority, policies and discovery. `cardea up` starts it; so does a container. */
export const command: Command = {
  name: "control",
  summary: "the control plane: certificates, policies and discovery for sidecars",
  usage: "cardea control --config FILE",
  example: "cardea control --config ~/.local/state/cardea/local/control.json",
  positional: { min: 0, max: 0 },
  flags: [{ name: "config", value: "FILE", summary: "bootstrap configuration (JSON)" }],
  run: runControl,
};

/** Calls that are under way at SIGTERM may finish for this long. */
const GRACE_MS = 1_000;

async function runControl(args: ParsedArgs, terminal: Terminal): Promise<0> {
  const file = args.flag("config");
  if (file === undefined) throw new CardeaError("bad-input", "--config FILE is missing");
  const config = parseControlConfig(await readText(file), file);
  const logger = createLogger({
    write: (line) => terminal.stderr(line),
    level: config.logLevel,
    process: "control",
    wallMs: () => systemClock.wallMs(),
  });
  const ended = new Promise<void>((resolve) => terminal.onSignal(() => resolve()));
  const plane = await openPlane(config, logger);
  logger.log("info", "ready", { address: `${plane.address.host}:${plane.address.port}`, spiffeId: plane.spiffeId });
  const { address, admin, spiffeId } = plane;
  // For whoever has started us and waits; all else goes to stderr.
  terminal.stdout(JSON.stringify({ ready: "control", address, admin, spiffeId }));
  await ended;
  logger.log("info", "ending", {});
  await plane.close(GRACE_MS);
  return 0;
}

async function openPlane(config: ControlConfig, logger: Logger): Promise<ControlPlane> {
  const at = (name: string): string => join(config.stateDir, name);
  try {
    return await openControlPlane(config, {
      policies: openPolicySource(config.policiesDir),
      registry: openDirectory(at("registry"), [".json"]),
      archive: openRevisionArchive(at("revisions")),
      state: openStateFiles(config.stateDir),
      listenTls,
      openAdmin: openHttpAdmin,
      clock: systemClock,
      random: createSystemRandom(),
      logger,
      version: await readVersion(),
    });
  } catch (thrown) {
    const error = toCardeaError(thrown);
    // What could not be reached here is a port of the configuration: it is the input that is at fault.
    throw error.code === "unreachable" ? new CardeaError("bad-input", error.message, error) : error;
  }
}
