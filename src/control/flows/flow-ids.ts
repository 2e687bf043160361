import type { FlowRecord } from "../../observe/flow.ts";

type Ids = Pick<FlowRecord, "id" | "traceId" | "spanId" | "parentSpanId">;

/** Ids are chance, which nothing makes smaller than it is: they stand as octets, and as few as there are. */
const SCRATCH = Buffer.alloc(36);
const SHORT = 4;
const WITH_SPAN = 28;
const WITH_PARENT = 36;

/** The first eight digits of an id as a signed number of 32 bits: what a row is found by. */
export function idHead(id: string): number {
  return Number.parseInt(id.slice(0, 8), 16) | 0;
}

/** Whether the ids are as a sidecar makes them: the others have no place in a row. */
export function hasGoodIds({ id, traceId, spanId, parentSpanId }: Ids): boolean {
  if (!isHex(id, 16)) return false;
  if (traceId === null || spanId === null) return traceId === spanId && parentSpanId === null;
  return isHex(traceId, 32) && isHex(spanId, 16) && (parentSpanId === null || isHex(parentSpanId, 16));
}

/** The rest of good ids; the octets are good until the next call. */
export function packIds({ id, traceId, spanId, parentSpanId }: Ids): Buffer {
  SCRATCH.write(id.slice(8), 0, "hex");
  if (traceId === null || spanId === null) return SCRATCH.subarray(0, SHORT);
  SCRATCH.write(traceId, SHORT, "hex");
  SCRATCH.write(spanId, 20, "hex");
  if (parentSpanId === null) return SCRATCH.subarray(0, WITH_SPAN);
  SCRATCH.write(parentSpanId, WITH_SPAN, "hex");
  return SCRATCH;
}

export function unpackIds(head: number, octets: Uint8Array): Ids {
  const hex = Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("hex");
  return {
    id: (head >>> 0).toString(16).padStart(8, "0") + hex.slice(0, 8),
    traceId: octets.length > SHORT ? hex.slice(8, 40) : null,
    spanId: octets.length > SHORT ? hex.slice(40, 56) : null,
    parentSpanId: octets.length === WITH_PARENT ? hex.slice(56) : null,
  };
}

function isHex(text: string, length: number): boolean {
  return text.length === length && /^[0-9a-f]*$/.test(text);
}
