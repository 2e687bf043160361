import { linkMatcher } from "../control/flows/flow-match.ts";
import type { FlowFilter } from "../control/flows/query.ts";
import type { FlowPeer, FlowRecord } from "../observe/flow.ts";
import { parseFlowLine } from "../observe/flow-line.ts";
import type { Beginning } from "../proxy/record.ts";
import { withNamespace } from "./flow-names.ts";
import { formatDuration } from "./flow-row.ts";
import { paint, visibleText } from "./flow-text.ts";

interface Began extends Omit<Beginning, "pair"> {
  readonly at: "began";
  /** The same when it ends; of one sidecar. */
  readonly exchange: number;
  readonly source: FlowPeer;
  readonly destination: FlowPeer;
  readonly tls: string | null;
}

interface Ended {
  readonly at: "ended";
  readonly exchange: number;
  readonly flow: FlowRecord;
}

interface Lost {
  readonly at: "lost";
  readonly count: number;
}

export type TapEvent = Began | Ended | Lost;

/** Null: it is none that we know. */
export function parseTapEvent(line: string): TapEvent | null {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(line) as Record<string, unknown> | null;
  } catch {
    return null;
  }
  if (value === null) return null;
  if (value["at"] === "began" || value["at"] === "lost") return value as unknown as TapEvent;
  const flow = value["at"] === "ended" ? parseFlowLine(JSON.stringify(value["flow"])) : null;
  return flow === null ? null : { at: "ended", exchange: Number(value["exchange"]), flow };
}

/** Whether a filter may take what begins: how it comes out is not known, and what asks for that is asked of the end alone. */
export function takesBeginning(filter: FlowFilter, { source, destination, ...about }: Began): boolean {
  const { verdicts = [], statusFrom, statusTo, dryRun, isAudited, method, pathPrefix, traceId } = filter;
  const asksForEnd = verdicts.length > 0 || statusFrom !== undefined || statusTo !== undefined;
  if (asksForEnd || dryRun !== undefined || isAudited === true) return false;
  const ends = [source, destination].flatMap(
    ({ namespace, workload, service, principal }) => [namespace, workload, service, principal] as const,
  );
  const edge = [about.reporter, about.protocol, about.tls, null, destination.port, ...ends];
  return (
    linkMatcher(filter, "all")(edge as unknown as Parameters<ReturnType<typeof linkMatcher>>[0]) &&
    (method === undefined || method === about.method) &&
    (pathPrefix === undefined || about.path?.startsWith(pathPrefix) === true) &&
    (traceId === undefined || traceId === about.traceId)
  );
}

/** One line, in the words of Linkerd's tap. */
export function formatTapEvent(event: TapEvent, colour: boolean): string {
  switch (event.at) {
    case "began":
      return `req ${wordsOf(event.exchange, event)} tls=${event.tls ?? "none"} ${requestOf(event)}`.trimEnd();
    case "ended": {
      const { flow } = event;
      const status = flow.status === null ? "" : ` :status=${flow.status}`;
      const grpc = flow.grpcStatus === null ? "" : ` grpc-status=${flow.grpcStatus}`;
      const size = `received=${flow.bytesReceived}B sent=${flow.bytesSent}B`;
      const why = flow.verdict === "allowed" ? "" : ` reason=${visibleText(flow.reason)} id=${visibleText(flow.id)}`;
      const verdict = paint(flow.verdict, flow.verdict, colour);
      const how = `verdict=${verdict}${status}${grpc} duration=${formatDuration(flow.durationMs)} ${size}${why}`;
      return `end ${wordsOf(event.exchange, flow)} ${how}`;
    }
    case "lost":
      return `... ${event.count} more, for which this reader was too slow`;
  }
}

function wordsOf(
  exchange: number,
  { reporter, source, destination }: Pick<Began, "reporter" | "source" | "destination">,
) {
  const side = reporter === "source" ? "out" : "in";
  return `id=${exchange} proxy=${side} src=${nameOf(source)} dst=${nameOf(destination)}:${destination.port}`;
}

function nameOf(peer: FlowPeer): string {
  return withNamespace(visibleText(peer.workload ?? peer.service ?? peer.ip), peer);
}

function requestOf({ protocol, method, host, path }: Began): string {
  if (protocol === "tcp") return "tcp";
  return `:method=${shown(method)} :authority=${shown(host)} :path=${shown(path)}`;
}

function shown(text: string | null): string {
  return visibleText(text ?? "-");
}
