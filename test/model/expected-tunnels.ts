import type { FlowRecord } from "../../src/observe/flow.ts";
import type { World } from "./plan.ts";
import { sentBytesOf, type TunnelSeen, type TunnelSide } from "./tunnel-end.ts";
import { REFUSAL, type TunnelPlan } from "./tunnel-plan.ts";

/** All that was observed of one tunnel. */
export interface ObservedTunnel {
  readonly caller: TunnelSeen;
  /** Each time that it reached the app. */
  readonly apps: readonly TunnelSeen[];
  /** Of a WebSocket. */
  readonly sourceFlows: readonly FlowRecord[];
  readonly destinationFlows: readonly FlowRecord[];
}

/** Everything in which a tunnel differs from what its plan lets one expect. */
export function faultsOfTunnel(plan: TunnelPlan, seen: ObservedTunnel, world: World): string[] {
  const claims: Claims = { ...ALWAYS, ...expectedOf(plan, seen, world) };
  return Object.entries(claims).flatMap(([claim, holds]) => (holds(plan, seen) ? [] : [claim]));
}

type Claims = Readonly<Record<string, (plan: TunnelPlan, seen: ObservedTunnel) => boolean>>;

function expectedOf(plan: TunnelPlan, { apps, caller }: ObservedTunnel, world: World): Claims {
  const isWebSocket = plan.kind === "websocket";
  // What has not come to the app may be turned away by a sidecar that is drained, or meet the app's bound on streams.
  if (apps.length === 0 && (world.drain !== null || mayMeetItsEnd(plan, caller, world))) return NOT_OPENED;
  if (isWebSocket && plan.refusedBy !== null) return plan.refusedBy === "app" ? REFUSED_BY_APP : DENIED;
  if (!isWebSocket && !world.settings.permitsTcp) return NOT_OPENED;
  if (plan.reset === null) return isWebSocket ? { ...WHOLE, ...TOLD_WHOLE } : WHOLE;
  return isWebSocket ? { ...GIVEN_UP, ...TOLD_BROKEN } : GIVEN_UP;
}

function mayMeetItsEnd({ kind }: TunnelPlan, { status }: TunnelSeen, { app, settings, ...world }: World): boolean {
  const isTight = app === "h2" && settings.appStreamsMax < world.exchanges.length + world.tunnels.length;
  return kind === "websocket" && isTight && status === 502;
}

const ALWAYS: Claims = {
  "the bytes are its own, either way": (_, { caller, apps }) => [caller, ...apps].every(({ body }) => body.isTrue),
  "no more comes than was sent, either way": (plan, { caller, apps }) =>
    caller.body.count <= sentBytesOf(plan.down, "app", plan) &&
    apps.every(({ body }) => body.count <= sentBytesOf(plan.up, "caller", plan)),
  "it reaches the app once at the most": (_, { apps }) => apps.length <= 1,
  "it ends at both ends": (_, { caller, apps }) => [caller, ...apps].every(({ end }) => end !== "open"),
  "the caller takes no cut for an end": (plan, { caller }) => !isOpened(caller) || isTrueEnd(caller, plan, "app"),
  "the app takes no cut for an end": (plan, { apps }) =>
    plan.refusedBy !== null || apps.every((app) => isTrueEnd(app, plan, "caller")),
  "nothing is told as a fault of the sidecar's own": (_, { sourceFlows, destinationFlows }) =>
    [...sourceFlows, ...destinationFlows].every(({ reason }) => reason !== "internal"),
  "either side tells a WebSocket once at the most": (_, { sourceFlows, destinationFlows }) =>
    sourceFlows.length <= 1 && destinationFlows.length <= 1,
};

function isOpened({ status }: TunnelSeen): boolean {
  return status === null || status < 300;
}

/** Who resets has not ended. */
function isTrueEnd({ end, body }: TunnelSeen, plan: TunnelPlan, sender: TunnelSide): boolean {
  if (end !== "whole") return true;
  const half = sender === "caller" ? plan.up : plan.down;
  return plan.reset?.by !== sender && body.count === half.bytes;
}

const WHOLE: Claims = {
  "it reaches the app": (_, { apps }) => apps.length === 1,
  "all comes to the app, and the end": (plan, { apps }) =>
    apps.every(({ end, body }) => end === "whole" && body.count === plan.up.bytes),
  "all comes to the caller, and the end": (plan, { caller }) =>
    caller.end === "whole" && caller.body.count === plan.down.bytes,
};

const TOLD_WHOLE: Claims = {
  "both sides tell it as allowed, with its bytes": ({ up, down }, { sourceFlows, destinationFlows }) =>
    sourceFlows.length === 1 &&
    destinationFlows.length === 1 &&
    [...sourceFlows, ...destinationFlows].every(
      ({ verdict, status, bytesReceived, bytesSent }) =>
        verdict === "allowed" && status === 101 && bytesReceived === up.bytes && bytesSent === down.bytes,
    ),
};

const GIVEN_UP: Claims = {
  "who gives up has had somebody to give up": (plan, { apps }) => plan.reset!.by === "caller" || apps.length === 1,
};

const TOLD_BROKEN: Claims = {
  // Who gives up at once may do so before it has answered.
  "neither side tells it as allowed, but for a failure that it passed on": (_, { sourceFlows, destinationFlows }) =>
    [...sourceFlows, ...destinationFlows].every(
      ({ verdict, reporter, status }) => verdict === "error" || (reporter === "source" && status! >= 500),
    ),
};

const DENIED: Claims = {
  "the caller is refused": (_, { caller }) => caller.status === 403,
  "the app never hears of it": (_, { apps }) => apps.length === 0,
  "it is told as denied": (_, { destinationFlows }) =>
    destinationFlows.length === 1 && destinationFlows[0]!.verdict === "denied",
};

const REFUSED_BY_APP: Claims = {
  "the caller hears of it": (_, { caller }) => caller.status === REFUSAL,
  "it reached the app": (_, { apps }) => apps.length === 1,
};

const NOT_OPENED: Claims = {
  "nothing comes": (_, { caller }) => caller.body.count === 0,
  "the app never hears of it": (_, { apps }) => apps.length === 0,
  "it does not look like an end": (_, { caller }) => !isOpened(caller) || caller.end === "broken",
};

/** What each side tells of opaque connections, which no record names: as many as there were, with their bytes. */
export function tcpFlowFaultsOf(
  flows: readonly FlowRecord[],
  tunnels: readonly (readonly [TunnelPlan, ObservedTunnel])[],
) {
  const opaque = tunnels.filter(([{ kind }]) => kind !== "websocket");
  // Who connects to a sidecar that is drained is told of as well, whatever it was that it wanted.
  const told = flows.filter(({ protocol, reason }) => protocol === "tcp" && reason !== "draining");
  const faults: string[] = [];
  const left = [...told];
  for (const [plan, { apps }] of opaque) {
    if (apps.length === 0 || plan.reset !== null) continue;
    const isOf = ({ bytesReceived, bytesSent, verdict }: FlowRecord): boolean =>
      // One byte is the name that the app knows it by.
      verdict === "allowed" && bytesReceived === plan.up.bytes + 1 && bytesSent === plan.down.bytes;
    const found = left.findIndex(isOf);
    if (found < 0) faults.push("an opaque connection is told as allowed, with its bytes");
    else left.splice(found, 1);
  }
  if (left.some(({ verdict }) => verdict === "allowed"))
    faults.push("no opaque connection is told that was not, or was cut");
  if (told.length > opaque.length) faults.push("no opaque connection is told twice");
  return faults;
}
