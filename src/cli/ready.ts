import { parseDuration } from "../core/duration.ts";
import { CardeaError, toCardeaError } from "../core/errors.ts";
import { POD_PORTS } from "../core/pod-ports.ts";
import { systemClock } from "../io/clock.ts";
import { callHttp } from "../io/http-client.ts";
import type { Command, ParsedArgs } from "./command.ts";
import { SIDECAR_READY_PATH } from "./sidecar-paths.ts";

const ASK_TIMEOUT_MS = 1_000;
const ASK_AGAIN_MS = 250;

/** For images without a shell: the hook of a plain sidecar container, and health checks by command. */
export const command: Command = {
  name: "ready",
  summary: "whether the sidecar beside it would serve: exit 0, or 1 and why not",
  usage: "cardea ready [--wait DURATION] [--port PORT]",
  example: "cardea ready --wait 60s",
  positional: { min: 0, max: 0 },
  flags: [
    { name: "wait", value: "DURATION", summary: "go on asking for this long", default: "0s" },
    { name: "port", value: "PORT", summary: "its readiness port", default: String(POD_PORTS.readiness) },
  ],
  async run(args, terminal) {
    const port = parsePort(args);
    const untilMs = systemClock.monotonicMs() + parseWait(args);
    for (;;) {
      const why = await askReadiness(port);
      if (why === null) return 0;
      if (systemClock.monotonicMs() >= untilMs) {
        terminal.stderr(why);
        return 1;
      }
      await new Promise<void>((resolve) => void systemClock.setTimer(ASK_AGAIN_MS, resolve));
    }
  },
};

/** Null: it is ready. A sidecar that does not answer is one that is not ready. */
async function askReadiness(port: number): Promise<string | null> {
  try {
    const at = { host: "127.0.0.1", port };
    const { status, body } = await callHttp(at, { path: SIDECAR_READY_PATH, timeoutMs: ASK_TIMEOUT_MS });
    return status === 200 ? null : body.trim();
  } catch (thrown) {
    return toCardeaError(thrown).message;
  }
}

function parseWait(args: ParsedArgs): number {
  try {
    return parseDuration(args.flag("wait") ?? "0s");
  } catch (thrown) {
    throw new CardeaError("bad-input", `--wait: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

function parsePort(args: ParsedArgs): number {
  const port = Number(args.flag("port"));
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new CardeaError("bad-input", `--port: expected a port, found ${JSON.stringify(args.flag("port"))}`);
}
