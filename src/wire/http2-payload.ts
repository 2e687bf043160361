import { type ErrorName, FLAG, FRAME_BYTES_MAX, SETTING, WINDOW_BYTES_MAX } from "./http2-codes.ts";
import { connectionFault, type Frame, type Setting } from "./http2-frame.ts";

/** What stands before a payload, the length aside. */
export interface FrameHeader {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
}

/** RFC 9113 section 6.3: the content is ignored, but for what RFC 7540 calls an error. */
export function readPriority(streamId: number, payload: Buffer): Frame {
  if (payload.length !== 5) return streamFault(streamId, "FRAME_SIZE_ERROR", "a PRIORITY frame is not 5 octets long");
  if (readStreamId(payload, 0) === streamId) return streamFault(streamId, "PROTOCOL_ERROR", DEPENDS_ON_ITSELF);
  return IGNORED;
}

/** RFC 9113 section 6.4. */
export function readRstStream(streamId: number, payload: Buffer): Frame {
  if (payload.length !== 4) return connectionFault("FRAME_SIZE_ERROR", "a RST_STREAM frame is not 4 octets long");
  return { type: "rst-stream", streamId, code: payload.readUInt32BE(0) };
}

/** RFC 9113 section 6.5. `maySetPush`: a client may allow pushing; a server that does is in error. */
export function readSettings(flags: number, payload: Buffer, maySetPush: boolean): Frame {
  if ((flags & FLAG.ACK) !== 0) {
    if (payload.length !== 0) return connectionFault("FRAME_SIZE_ERROR", "an acknowledgement of SETTINGS has content");
    return SETTINGS_ACK;
  }
  if (payload.length % 6 !== 0) return connectionFault("FRAME_SIZE_ERROR", "SETTINGS are not of 6 octets each");
  const settings: Setting[] = [];
  for (let at = 0; at < payload.length; at += 6) {
    const setting = { id: payload.readUInt16BE(at), value: payload.readUInt32BE(at + 2) };
    const code = faultOfSetting(setting, maySetPush);
    if (code !== null) return connectionFault(code, `setting ${setting.id} is out of its range`);
    settings.push(setting);
  }
  return { type: "settings", settings };
}

/** RFC 9113 section 6.7. */
export function readPing(flags: number, payload: Buffer): Frame {
  if (payload.length !== 8) return connectionFault("FRAME_SIZE_ERROR", "a PING frame is not 8 octets long");
  return { type: "ping", isAck: (flags & FLAG.ACK) !== 0, data: payload };
}

/** RFC 9113 section 6.8. What else it says is for people, and is not read. */
export function readGoaway(payload: Buffer): Frame {
  if (payload.length < 8) return connectionFault("FRAME_SIZE_ERROR", "a GOAWAY frame is shorter than 8 octets");
  return { type: "goaway", lastStreamId: readStreamId(payload, 0), code: payload.readUInt32BE(4) };
}

/** RFC 9113 section 6.9. */
export function readWindowUpdate(streamId: number, payload: Buffer): Frame {
  if (payload.length !== 4) return connectionFault("FRAME_SIZE_ERROR", "a WINDOW_UPDATE frame is not 4 octets long");
  const increment = payload.readUInt32BE(0) & WINDOW_BYTES_MAX;
  if (increment > 0) return { type: "window-update", streamId, increment };
  return streamId === 0
    ? connectionFault("PROTOCOL_ERROR", EMPTY_UPDATE)
    : streamFault(streamId, "PROTOCOL_ERROR", EMPTY_UPDATE);
}

/** The part of a HEADERS payload that belongs to the header block, or a fault. RFC 9113 section 6.2. */
export function readHeadersPayload(
  { flags, streamId }: FrameHeader,
  payload: Buffer,
): { readonly fragment: Buffer; readonly dependsOnItself: boolean } | null {
  let start = 0;
  let end = payload.length;
  if ((flags & FLAG.PADDED) !== 0) {
    if (payload.length === 0) return null;
    start = 1;
    end -= payload[0]!;
  }
  let dependsOnItself = false;
  if ((flags & FLAG.PRIORITY) !== 0) {
    if (start + 5 > end) return null;
    dependsOnItself = readStreamId(payload, start) === streamId;
    start += 5;
  }
  return start > end ? null : { fragment: payload.subarray(start, end), dependsOnItself };
}

/** The reserved bit is passed over. RFC 9113 section 4.1. */
export function readStreamId(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) & 0x7fff_ffff;
}

export const DEPENDS_ON_ITSELF = "a stream depends on itself";
const EMPTY_UPDATE = "a WINDOW_UPDATE adds nothing";
const IGNORED: Frame = Object.freeze({ type: "ignored" });
const SETTINGS_ACK: Frame = Object.freeze({ type: "settings-ack" });

function faultOfSetting({ id, value }: Setting, maySetPush: boolean): ErrorName | null {
  switch (id) {
    case SETTING.ENABLE_PUSH:
      return value === 0 || (value === 1 && maySetPush) ? null : "PROTOCOL_ERROR";
    case SETTING.INITIAL_WINDOW_SIZE:
      return value <= WINDOW_BYTES_MAX ? null : "FLOW_CONTROL_ERROR";
    case SETTING.MAX_FRAME_SIZE:
      return value >= FRAME_BYTES_MAX && value < 2 ** 24 ? null : "PROTOCOL_ERROR";
    case SETTING.ENABLE_CONNECT_PROTOCOL:
    case SETTING.NO_RFC7540_PRIORITIES:
      return value <= 1 ? null : "PROTOCOL_ERROR";
    default:
      return null;
  }
}

function streamFault(streamId: number, code: ErrorName, why: string): Frame {
  return { type: "stream-fault", streamId, code, why };
}
