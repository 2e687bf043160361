import { toCardeaError } from "../../core/errors.ts";
import type { Latest } from "../../core/latest.ts";
import { FLOW_LIMITS } from "../../core/flow-limits.ts";
import { GRPC } from "../../wire/grpc-status.ts";
import {
  CONTROL_NAME,
  type ControlConnection,
  type ControlConnectionOptions,
  openControlConnection,
} from "../calls/control-connection.ts";
import { callUnary, type UnaryOutcome } from "../calls/unary-call.ts";
import type { Identity } from "../identity/identity.ts";
import type { CollectorCalls } from "./exporter.ts";

export interface CollectorCallsOptions extends Omit<ControlConnectionOptions, "identity"> {
  readonly identity: Latest<Identity | null>;
}

/** Calls over one connection, which is opened when it is needed, and anew after a failure and with each certificate. */
export function openCollectorCalls({ identity, ...options }: CollectorCallsOptions): CollectorCalls {
  let open: { readonly connection: ControlConnection; readonly by: Identity } | null = null;

  function letGo(): void {
    open?.connection.close();
    open = null;
  }

  async function connect(signal: AbortSignal): Promise<ControlConnection> {
    const by = identity.get();
    if (by === null) throw new Error("there is no certificate yet");
    if (open !== null && open.by === by) return open.connection;
    letGo();
    const connection = await openControlConnection({ ...options, identity: by }, signal);
    open = { connection, by };
    return connection;
  }

  return {
    async call(path, request, signal): Promise<UnaryOutcome> {
      try {
        const { channel } = await connect(signal);
        const timeoutMs = FLOW_LIMITS.flowExportCallMs;
        const about = { path, authority: CONTROL_NAME, metadata: [], timeoutMs, clock: options.clock };
        const outcome = await callUnary(channel, request, about, signal);
        if (outcome.at === "failed") letGo();
        return outcome;
      } catch (thrown) {
        letGo();
        const message = thrown instanceof Error ? toCardeaError(thrown).message : String(thrown);
        return { at: "failed", status: { code: GRPC.UNAVAILABLE, message } };
      }
    },
    close: letGo,
  };
}
