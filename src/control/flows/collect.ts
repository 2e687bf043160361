import { LIMITS } from "../../core/limits.ts";
import type { SpiffeId } from "../../core/spiffe-id.ts";
import { type FlowRecord, VERDICTS } from "../../observe/flow.ts";
import { isSampleable } from "../../observe/flow-sampling.ts";
import { readLogsRequest } from "../../observe/otlp-flow-reader.ts";
import { LOSS_EVENT, LOSS_FIELDS, type LossFacts } from "../../observe/otlp-loss.ts";
import { hasGoodIds } from "./flow-ids.ts";

export interface CollectHandlers {
  /**
   * Asked of the first flow of each ScopeLogs, which a sidecar sends as it is again when it has heard no answer: true, and all
   * of it is taken as stored. Left out: nothing is known.
   */
  isKnown?(flow: FlowRecord): boolean;
  onFlow(flow: FlowRecord): void;
  onLoss(loss: LossFacts): void;
}

/** What is to be told to the sender: OTLP's partial success. */
export interface Collected {
  readonly accepted: number;
  readonly rejected: number;
  /** The first reason; empty without any. */
  readonly why: string;
}

/**
 * Takes what a sidecar has sent. A record is its sender's word, so its own side must be the sender: whoever could tell of
 * others' flows could make `policy suggest` grant what never was. Null: whoever may tell of everything, as in a bench.
 * Errors: `bad-input` when it is no request; what came before the fault has been handed on.
 */
export function collectLogs(request: Buffer, sender: SpiffeId | null, handlers: CollectHandlers): Collected {
  let accepted = 0;
  let rejected = 0;
  let why = "";
  function reject(reason: string): void {
    rejected++;
    if (why === "") why = reason;
  }
  let at: "first" | "new" | "known" = "first";
  readLogsRequest(request, {
    onScope() {
      at = "first";
    },
    onFlow(flow) {
      const fault = faultOf(flow, sender);
      if (fault !== null) return reject(fault);
      accepted++;
      if (at === "first") at = handlers.isKnown?.(flow) === true ? "known" : "new";
      if (at === "new") handlers.onFlow(flow);
    },
    onOther(eventName, attributes) {
      const loss = eventName === LOSS_EVENT ? lossOf(attributes) : null;
      if (loss === null) return reject(`events of the name ${JSON.stringify(eventName.slice(0, 64))} are not taken`);
      accepted++;
      handlers.onLoss(loss);
    },
    onRefused: reject,
  });
  return { accepted, rejected, why };
}

function faultOf(flow: FlowRecord, sender: SpiffeId | null): string | null {
  if (!hasGoodIds(flow)) return "the ids are not a sidecar's";
  if (!isCount(flow.bytesReceived) || !isCount(flow.bytesSent)) return "a number of bytes is none";
  if (!isPort(flow.source.port) || !isPort(flow.destination.port)) return "a port is none";
  // A denial stands for itself alone, and nobody's word makes a billion of one exchange.
  const { sampledFrom } = flow;
  if (
    sampledFrom !== null &&
    !(
      isSampleable(flow) &&
      Number.isInteger(sampledFrom) &&
      sampledFrom >= 1 &&
      sampledFrom <= LIMITS.flowSampledFromMax
    )
  )
    return "it stands for more flows than it may";
  const own = flow.reporter === "source" ? flow.source.principal : flow.destination.principal;
  if (sender === null || own === sender) return null;
  return `its ${flow.reporter} is ${own === null ? "nobody" : JSON.stringify(own.slice(0, 256))}, and its sender ${sender}`;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 65_535;
}

function lossOf(attributes: ReadonlyMap<string, string | number | null>): LossFacts | null {
  const reason = attributes.get(LOSS_FIELDS.reason);
  const verdict = attributes.get(LOSS_FIELDS.verdict);
  const flows = attributes.get(LOSS_FIELDS.flows);
  const principal = attributes.get(LOSS_FIELDS.principal) ?? null;
  const isGood =
    typeof reason === "string" &&
    /^[a-z-]{1,64}$/.test(reason) &&
    VERDICTS.some((word) => word === verdict) &&
    typeof flows === "number" &&
    isCount(flows) &&
    (principal === null || typeof principal === "string");
  return isGood ? { reason, verdict: verdict as string, principal, flows } : null;
}
