import type { Duplex } from "node:stream";
import type { Half, Reset, TunnelPlan } from "./tunnel-plan.ts";
import { Seen } from "./seen.ts";
import { readSlowly, writeBody } from "./writing.ts";

export type TunnelSide = "caller" | "app";

/** What came of a tunnel at one of its ends. */
export class TunnelSeen extends Seen {
  readonly index: number;
  /** Of the answer that opened it, or did not; null where there is none. */
  status: number | null = null;

  constructor(index: number, side: TunnelSide) {
    super(halfName(index, side === "caller" ? "down" : "up"));
    this.index = index;
  }
}

interface Playing {
  readonly plan: TunnelPlan;
  readonly side: TunnelSide;
  readonly seen: TunnelSeen;
}

/** Does at one end of an open tunnel what its plan says. */
export function playTunnelEnd(stream: Duplex, playing: Playing): void {
  playUnanswered(stream, playing).read();
}

/** The same, but for reading, which is for when the tunnel has been granted. */
export function playUnanswered(stream: Duplex, { plan, side, seen }: Playing): { read(): void } {
  const [sent, received] = side === "caller" ? [plan.up, plan.down] : [plan.down, plan.up];
  const reset = plan.reset?.by === side ? plan.reset : null;
  let isWritten = false;
  const endIfDue = (): void => {
    if (isWritten && reset === null && (sent.ends === "at-once" || seen.end === "whole")) stream.end();
  };
  const giveUpIfDue = (when: Reset["when"], bytes: number): void => {
    if (reset?.when !== when || bytes < reset.afterBytes) return;
    seen.finish("broken");
    stream.destroy(new Error("cut off"));
  };
  watchEnd(stream, seen, endIfDue);
  const read = (): void => {
    readSlowly(stream, received.readerTurns, (piece) => {
      if (stream.destroyed) return;
      seen.body.feed(piece);
      giveUpIfDue("received", seen.body.count);
    });
    stream.resume();
    giveUpIfDue("received", 0);
  };
  writeBody(stream, {
    name: halfName(seen.index, side === "caller" ? "up" : "down"),
    body: sent,
    stopAfter: reset?.when === "sent" ? reset.afterBytes : null,
    onDone() {
      isWritten = true;
      giveUpIfDue("sent", sent.bytes);
      endIfDue();
    },
  });
  return { read };
}

function watchEnd(stream: Duplex, seen: TunnelSeen, onWhole: () => void): void {
  stream.on("error", () => {});
  stream.once("close", () => seen.finish("broken"));
  stream.on("end", () => {
    // Node ends what it hands out of a stream of HTTP/2 that was reset just as it ends a whole one.
    if ("rstCode" in stream && stream.rstCode !== 0) return;
    seen.finish("whole");
    onWhole();
  });
}

function halfName(index: number, half: "up" | "down"): string {
  return `${half} ${index}`;
}

/** How many bytes of a half its sender ever sends. */
export function sentBytesOf(half: Half, side: TunnelSide, { reset }: TunnelPlan): number {
  return reset?.by === side && reset.when === "sent" ? reset.afterBytes : half.bytes;
}
