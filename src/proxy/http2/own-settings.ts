import { LIMITS } from "../../core/limits.ts";
import { SETTING } from "../../wire/http2-codes.ts";
import type { Setting } from "../../wire/http2-frame.ts";

/** Octets of header table that we use, and allow the peer: the default. RFC 9113 section 6.5.2. */
export const HEADER_TABLE_BYTES = 4_096;

/** What we say of ourselves; all else is the default. */
export function ownSettings(side: "server" | "client", streamWindowBytes: number): readonly Setting[] {
  const window = { id: SETTING.INITIAL_WINDOW_SIZE, value: streamWindowBytes };
  return [...(side === "server" ? SERVER_SETTINGS : CLIENT_SETTINGS), window, ...COMMON_SETTINGS];
}

const COMMON_SETTINGS: readonly Setting[] = [
  { id: SETTING.MAX_HEADER_LIST_SIZE, value: LIMITS.headBytesMax },
  { id: SETTING.NO_RFC7540_PRIORITIES, value: 1 },
];
const SERVER_SETTINGS: readonly Setting[] = [
  { id: SETTING.MAX_CONCURRENT_STREAMS, value: LIMITS.http2StreamsMax },
  { id: SETTING.ENABLE_CONNECT_PROTOCOL, value: 1 },
];
const CLIENT_SETTINGS: readonly Setting[] = [{ id: SETTING.ENABLE_PUSH, value: 0 }];
