import { ProtobufBytes } from "../wire/protobuf-bytes.ts";
import { ATTRIBUTES_TAG, attributeKey, putNumber, putText } from "./otlp-attributes.ts";

/** `event_name` of the record by which a sidecar says what it had to drop. */
export const LOSS_EVENT = "cardea.flow.loss";

/** Its attributes: none of a flow's. */
export const LOSS_FIELDS = {
  reason: "cardea.loss.reason",
  verdict: "cardea.loss.verdict",
  principal: "cardea.loss.principal",
  flows: "cardea.loss.flows",
} as const;

/** Flows that a sidecar had to drop, as it tells of them itself. */
export interface LossFacts {
  readonly reason: string;
  readonly verdict: string;
  /** Of denials, the other side's identity; null: many, or nobody's. */
  readonly principal: string | null;
  readonly flows: number;
}

/** It as a LogRecord: a warning. */
export function encodeLossLog(timeMs: number, { reason, verdict, principal, flows }: LossFacts): ProtobufBytes {
  const into = new ProtobufBytes(FIRST_BYTES);
  into.octet(TIME_TAG);
  into.nanoseconds(Math.max(0, Math.floor(timeMs)));
  into.octet(SEVERITY_TAG);
  into.octet(WARN);
  putText(into, KEYS.reason, reason);
  putText(into, KEYS.verdict, verdict);
  putText(into, KEYS.principal, principal);
  putNumber(into, KEYS.flows, flows);
  into.octet(EVENT_TAG);
  into.octet(LOSS_EVENT.length);
  into.ascii(LOSS_EVENT);
  return into;
}

const KEYS = {
  reason: attributeKey(ATTRIBUTES_TAG.logRecord, LOSS_FIELDS.reason),
  verdict: attributeKey(ATTRIBUTES_TAG.logRecord, LOSS_FIELDS.verdict),
  principal: attributeKey(ATTRIBUTES_TAG.logRecord, LOSS_FIELDS.principal),
  flows: attributeKey(ATTRIBUTES_TAG.logRecord, LOSS_FIELDS.flows),
};
const FIRST_BYTES = 512;
const TIME_TAG = 0x09;
const SEVERITY_TAG = 0x10;
const WARN = 13;
const EVENT_TAG = 0x62;
