import type { FlowRecord } from "../../src/observe/flow.ts";
import { answerBytesOf, type Plan, type World } from "./plan.ts";
import { repetitionFaultsOf, triesMaxOf } from "./repetition.ts";
import type { AnswerSeen, RequestSeen } from "./seen.ts";

/** All that was observed of one exchange, once everybody has hung up. */
export interface Observed {
  readonly answer: AnswerSeen;
  /** Each time that it reached the app. */
  readonly requests: readonly RequestSeen[];
  /** Of the caller's sidecar, and of the app's. */
  readonly sourceFlows: readonly FlowRecord[];
  readonly destinationFlows: readonly FlowRecord[];
}

/** What lies outside of an exchange's own plan, and may decide what comes of it. */
export interface Circumstances {
  readonly world: World;
  /** The app had seen it when one of the sidecars was told to drain; true where none was. */
  readonly isBeforeDrain: boolean;
}

/** Everything in which an exchange differs from what HTTP and its plan let one expect; nothing when it is as it should be. */
export function faultsOf(index: number, seen: Observed, circumstances: Circumstances): string[] {
  const plan = circumstances.world.exchanges[index]!;
  const claims: Claims = { ...ALWAYS, ...expectedOf(plan, seen, { ...circumstances, index }) };
  const faults = Object.entries(claims).flatMap(([claim, holds]) => (holds(plan, seen) ? [] : [claim]));
  return [...faults, ...repetitionFaultsOf(plan, seen, circumstances.world)];
}

function expectedOf(plan: Plan, seen: Observed, where: Circumstances & { readonly index: number }): Claims {
  const { answer, requests } = seen;
  const isGone = answer.status === null || (answer.isOfSidecar && (answer.status === 502 || answer.status === 503));
  if (isGone && mayMeetItsEnd(where.world, where.index)) return {};
  if (isGone && mayBeTurnedAway(plan, requests.length, where)) return {};
  if (plan.isDenied) return DENIED;
  if (plan.cut !== null) return plan.cut.by === "caller" ? GIVEN_UP : CUT_OFF;
  if (answer.failure !== null) return FAILED;
  return plan.failures[requests.length - 1] === "cut" ? CUT_SHORT : WHOLE;
}

/** Whether an exchange may be refused for what a neighbour did: an app of HTTP/2 may still count a stream that was given up. */
function mayMeetItsEnd({ app, settings, exchanges, tunnels, retry }: World, index: number): boolean {
  const webSockets = tunnels.filter(({ kind }) => kind === "websocket");
  const isTight = app === "h2" && settings.appStreamsMax < exchanges.length + webSockets.length;
  const leaves = (plan: Plan, other: number): boolean =>
    leavesItsStream(plan) && (other !== index || plan.failures.length > 0 || retry !== null);
  return (
    isTight &&
    (exchanges.some(leaves) || webSockets.some(({ reset, refusedBy }) => reset !== null || refusedBy === "app"))
  );
}

function leavesItsStream({ answer, request, cut, failures }: Plan): boolean {
  return cut !== null || failures.length > 0 || (answer.when === "at-once" && request !== null);
}

/** A sidecar that is drained need not take what had not come to the app by then, nor make further tries. */
function mayBeTurnedAway(plan: Plan, requestCount: number, { world, isBeforeDrain }: Circumstances): boolean {
  if (world.drain === null) return false;
  return requestCount === 0 ? !isBeforeDrain : world.drain.of === "app" && triesMaxOf(plan, world.retry) > 1;
}

export type Claims = Readonly<Record<string, (plan: Plan, seen: Observed) => boolean>>;

/** Whatever was done: nothing lost, invented or crossed, and each exchange told once by each side. */
const ALWAYS: Claims = {
  "the answer's bytes are its own": (_, { answer }) => answer.body.isTrue,
  "the request's bytes are its own": (_, { requests }) => requests.every(({ body }) => body.isTrue),
  "the app has the request's method": (plan, { requests }) => requests.every(({ method }) => method === plan.method),
  "the request is not longer than it was sent": (plan, { requests }) =>
    requests.every(({ body }) => body.count <= (plan.request?.bytes ?? 0)),
  "a request that ends whole is whole": (plan, { requests }) =>
    requests.every(({ end, body }) => end !== "whole" || body.count === (plan.request?.bytes ?? 0)),
  "a request that ends whole has its trailers": (plan, { requests }) =>
    requests.every(({ end, sum }) => end !== "whole" || sum === trailersOf(plan)),
  "an answer of the app that ends whole is whole": (plan, { answer }) =>
    answer.end !== "whole" || !isAsPlanned(answer) || answer.body.count === answerBytesOf(plan),
  "an answer of the app that ends whole has its trailers": (plan, { answer }) =>
    answer.end !== "whole" || !isAsPlanned(answer) || answer.sum === sumOf(plan),
  "the app's status arrives": (plan, { answer }) =>
    answer.status === null || !isAsPlanned(answer) || answer.status === plan.answer.status,
  "every request ends at the app": (_, { requests }) => requests.every(({ end }) => end !== "open"),
  "the answer ends": (_, { answer }) => answer.end !== "open",
  // Who gives up, or meets its connection's end, may do so before anybody has read the request's head.
  "the caller's sidecar tells it once": (_, { sourceFlows, destinationFlows, answer }) =>
    sourceFlows.length === 1 || (sourceFlows.length === 0 && destinationFlows.length === 0 && answer.status === null),
  "the app's sidecar tells it each time that it came": (_, { requests, sourceFlows, destinationFlows }) =>
    destinationFlows.length <= (sourceFlows[0]?.attempts ?? 1) &&
    destinationFlows.length >= Math.min(requests.length, 1),
  "nothing is told as a fault of the sidecar's own": (_, { sourceFlows, destinationFlows }) =>
    [...sourceFlows, ...destinationFlows].every(({ reason }) => reason !== "internal"),
};

const WHOLE: Claims = {
  "the answer is whole": (_, { answer }) => answer.end === "whole",
  "the answer is the app's": (_, { answer }) => !answer.isOfSidecar,
  "it reached the app": (_, { requests }) => requests.length > 0,
  "a request that is waited for arrives whole": (plan, { requests }) =>
    plan.answer.when === "at-once" || requests.at(-1)?.end === "whole",
  // Those of a try whose answer was not taken have been passed on.
  "the hints arrive": (plan, { answer, requests }) =>
    answer.hints >= plan.answer.hints && answer.hints <= plan.answer.hints * requests.length,
  "both sides tell it as allowed, with its status": (plan, seen) =>
    isTold(
      seen,
      (flow) => flow.status === plan.answer.status && (flow.verdict === "allowed" || hasLeftEarly(plan, flow)),
    ),
  "both sides tell the answer's bytes": (plan, seen) =>
    isTold(seen, ({ bytesSent }) => bytesSent === answerBytesOf(plan)),
  "both sides tell the bytes of a request that was waited for": (plan, seen) =>
    plan.answer.when === "at-once" || isTold(seen, ({ bytesReceived }) => bytesReceived === (plan.request?.bytes ?? 0)),
};

/** By the caller's side, and by the app's of one try that came to it. */
function isTold({ sourceFlows, destinationFlows }: Observed, so: (flow: FlowRecord) => boolean): boolean {
  return (
    sourceFlows.every(so) && (destinationFlows.length > 1 ? destinationFlows.some(so) : destinationFlows.every(so))
  );
}

/** The app failed as planned, and that is what the caller got. */
const FAILED: Claims = {
  "the failure is whole": (_, { answer }) => answer.end === "whole",
  "the failure has its status": (plan, { answer }) => answer.status === plan.failures[answer.failure!],
  "both sides tell the failure's status": (_, seen) => isTold(seen, ({ status }) => status === seen.answer.status),
};

/** The app gave the last try up: the sidecar says so. */
const CUT_SHORT: Claims = {
  "the caller is told of a failure": (_, { answer }) =>
    answer.end === "whole" && answer.isOfSidecar && answer.status! >= 500,
};

const DENIED: Claims = {
  "the caller is refused, or gave up": (plan, { answer }) =>
    plan.cut?.by === "caller" || (answer.end === "whole" && answer.status === 403 && answer.isOfSidecar),
  "the app never hears of it": (_, { requests }) => requests.length === 0,
  "nobody tells it as allowed at the app's side": (_, { destinationFlows }) =>
    destinationFlows.every(({ verdict }) => verdict !== "allowed"),
  "it is told as denied, unless the caller gave up": (plan, { destinationFlows }) =>
    plan.cut?.by === "caller" || destinationFlows[0]?.verdict === "denied",
};

/** The caller gave up: what it got meanwhile is a beginning, and the app never takes a part for the whole. */
const GIVEN_UP: Claims = {
  "the app gets no more than was sent": (plan, { requests }) =>
    plan.cut!.within === "answer" ||
    requests.every(({ body }) => body.count <= Math.min(plan.cut!.afterBytes, plan.request?.bytes ?? 0)),
};

/** The app cut it off: the caller is told by the sidecar, or sees that the answer breaks off. */
const CUT_OFF: Claims = {
  "the caller does not take a part for the whole": (plan, { answer }) =>
    answer.end === "broken" || answer.isOfSidecar || plan.cut!.afterBytes >= answerBytesOf(plan),
  "a failure before the answer is answered with a failure": (plan, { answer }) =>
    plan.cut!.within === "answer" || (answer.end === "whole" && answer.isOfSidecar && answer.status! >= 500),
  "the app's sidecar does not tell it as allowed": (_, { answer, destinationFlows }) =>
    (answer.end === "whole" && !answer.isOfSidecar) || destinationFlows.every(({ verdict }) => verdict === "error"),
};

function isAsPlanned({ isOfSidecar, failure }: AnswerSeen): boolean {
  return !isOfSidecar && failure === null;
}

/** With all bytes of an answer, a peer of HTTP/1.1 may be gone before the app of HTTP/2 has ended it. */
function hasLeftEarly(plan: Plan, { reporter, reason, bytesSent }: FlowRecord): boolean {
  const isWhole = bytesSent === answerBytesOf(plan);
  return reporter === "destination" && reason === "downstream-reset" && isWhole;
}

function trailersOf({ request }: Plan): string | null {
  return request?.hasTrailers === true ? String(request.bytes) : null;
}

function sumOf(plan: Plan): string | null {
  const bytes = answerBytesOf(plan);
  return plan.answer.body.hasTrailers && bytes > 0 ? String(bytes) : null;
}
