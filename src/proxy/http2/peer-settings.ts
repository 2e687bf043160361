import { FRAME_BYTES_MAX, SETTING, WINDOW_BYTES } from "../../wire/http2-codes.ts";
import type { Setting } from "../../wire/http2-frame.ts";

/** What the peer has said of itself so far. RFC 9113 section 6.5.2. */
export class PeerSettings {
  headerTableBytes = 4_096;
  windowBytes = WINDOW_BYTES;
  frameBytesMax = FRAME_BYTES_MAX;
  /** Until the peer has spoken, what RFC 9113 asks of every server at least. */
  streamsMax = 100;
  /** Whether it takes the extended CONNECT. RFC 8441 section 3. */
  takesExtendedConnect = false;
  hasArrived = false;

  apply(settings: readonly Setting[]): void {
    if (!this.hasArrived) {
      this.hasArrived = true;
      this.streamsMax = Infinity;
    }
    for (const { id, value } of settings) this.#applyOne(id, value);
  }

  #applyOne(id: number, value: number): void {
    switch (id) {
      case SETTING.HEADER_TABLE_SIZE:
        this.headerTableBytes = value;
        break;
      case SETTING.MAX_CONCURRENT_STREAMS:
        this.streamsMax = value;
        break;
      case SETTING.INITIAL_WINDOW_SIZE:
        this.windowBytes = value;
        break;
      case SETTING.MAX_FRAME_SIZE:
        this.frameBytesMax = value;
        break;
      case SETTING.ENABLE_CONNECT_PROTOCOL:
        // It must not be taken back. RFC 8441 section 3.
        this.takesExtendedConnect ||= value === 1;
        break;
      default:
        // Unknown ones are ignored. RFC 9113 section 6.5.2.
        break;
    }
  }
}
