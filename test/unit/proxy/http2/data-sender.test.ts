import { describe, expect, it } from "vitest";
import { type DataSource, DataSender } from "../../../../src/proxy/http2/data-sender.ts";
import { DATA_BYTES_MAX, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, WINDOW_BYTES } from "../../../../src/wire/http2-codes.ts";

describe("the connection's window", () => {
  it("is not overdrawn by a source that submits more while it sends", () => {
    const sender = new DataSender();
    const source = new Source(10 * WINDOW_BYTES);
    source.onSent = () => sender.submit(source);
    sender.submit(source);
    expect(source.sentBytes).toBe(WINDOW_BYTES);
    expect(sender.widen(1_000)).toBe(true);
    expect(source.sentBytes).toBe(WINDOW_BYTES + 1_000);
  });

  it("is not overdrawn by one whose sending makes another submit", () => {
    const sender = new DataSender();
    const [one, other] = [new Source(10 * WINDOW_BYTES), new Source(10 * WINDOW_BYTES)];
    one.onSent = () => sender.submit(other);
    sender.submit(one);
    expect(one.sentBytes + other.sentBytes).toBe(WINDOW_BYTES);
    expect(Math.abs(one.sentBytes - other.sentBytes)).toBeLessThanOrEqual(FRAME_BYTES_MAX);
  });

  it("takes nothing while it is used up, and nothing while the connection is blocked", () => {
    const sender = new DataSender();
    sender.submit(new Source(WINDOW_BYTES));
    const late = new Source(5);
    sender.submit(late);
    expect(late.sentBytes).toBe(0);
    sender.isBlocked = true;
    sender.widen(100);
    expect(late.sentBytes).toBe(0);
    sender.isBlocked = false;
    sender.pump();
    expect(late.sentBytes).toBe(5);
  });
});

it("asks for no more at once than makes one TLS record with the frame's header", () => {
  const sender = new DataSender();
  const source = new Source(WINDOW_BYTES);
  const frames: number[] = [];
  source.onSent = (bytes) => frames.push(bytes + FRAME_HEADER_BYTES);
  sender.submit(source);
  expect(frames).toEqual([16_384, 16_384, 16_384, 16_384, WINDOW_BYTES - 4 * DATA_BYTES_MAX + FRAME_HEADER_BYTES]);
});

class Source implements DataSource {
  sentBytes = 0;
  onSent: (bytes: number) => void = () => {};
  #leftBytes: number;

  constructor(bytes: number) {
    this.#leftBytes = bytes;
  }

  get hasSendable(): boolean {
    return this.#leftBytes > 0;
  }

  sendFrame(bytesMax: number): number {
    const bytes = Math.min(bytesMax, this.#leftBytes);
    this.#leftBytes -= bytes;
    this.sentBytes += bytes;
    this.onSent(bytes);
    return bytes;
  }
}
